//! The status document as docs/status.schema.json wants it. Each one that a scenario reads is judged.

use anyhow::{ensure, Context, Result};
use jsonschema::Validator;
use serde_json::Value;
use std::sync::LazyLock;

static VALIDATOR: LazyLock<Result<Validator, String>> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../docs/status.schema.json"));
    let schema: Value = schema.map_err(|e| e.to_string())?;
    jsonschema::draft202012::new(&schema).map_err(|e| e.to_string())
});

/// Reads a document.
///
/// # Errors
/// Where it is not as the schema says.
pub fn read(text: &str) -> Result<Value> {
    let document = serde_json::from_str(text).with_context(|| format!("status is not JSON: {text}"))?;
    let validator = VALIDATOR.as_ref().map_err(|why| anyhow::anyhow!("docs/status.schema.json: {why}"))?;
    let fault = |fault: jsonschema::ValidationError<'_>| format!("{}: {fault}", fault.instance_path());
    let faults: Vec<String> = validator.iter_errors(&document).map(fault).collect();
    ensure!(faults.is_empty(), "docs/status.schema.json does not know this: {} in {text}", faults.join("; "));
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_schema_does_not_know_is_refused() {
        let why = read("{\"verdict\":7,\"colour\":\"red\"}").unwrap_err().to_string();
        assert!(why.contains("colour") && why.contains("\"healthy\" is a required property"), "{why}");
        assert!(read("").is_err());
    }
}
