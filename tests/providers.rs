//! `porchlight providers`, by the real program: without a daemon and without a configuration, and `porchlight check`
//! takes every section that it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use porchlight::provider::{aliases, PROVIDERS};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn porchlight(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porchlight"));
    command.arg("--root").arg(root).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// An empty place.
fn place(name: &str) -> std::path::PathBuf {
    let root = std::env::temp_dir().join(format!("porchlight-providers-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    root
}

#[test]
fn every_section_that_is_shown_passes_the_check() {
    let root = place("check");
    let config = root.join("config");
    let path = config.to_str().unwrap();
    std::fs::write(&config, "").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let list = porchlight(&root, &["providers"]);
    assert_eq!(list.status.code(), Some(0));
    let names: Vec<&str> = text(&list.stdout).lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, PROVIDERS.iter().map(|entry| entry.name).collect::<Vec<_>>());
    for name in names {
        let about = porchlight(&root, &["providers", name]);
        assert_eq!((about.status.code(), text(&about.stderr)), (Some(0), ""), "{name}");
        let about = text(&about.stdout);
        let example = &about[about.find("config record").unwrap()..];
        std::fs::write(&config, format!("config wan 'wan'\n\toption device 'auto'\n\n{example}")).unwrap();
        let check = porchlight(&root, &["check", "--config", path]);
        assert_eq!((check.status.code(), text(&check.stderr)), (Some(0), ""), "{name}:\n{example}");
        assert!(text(&check.stdout).contains(&format!(" at {name} gets the address of wan wan")), "{name}");
    }
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn other_names_json_and_mistakes() {
    let root = place("names");
    let run = |arguments: &[&str]| {
        let output = porchlight(&root, arguments);
        (output.status.code().unwrap(), text(&output.stdout).to_string(), text(&output.stderr).to_string())
    };
    let entry = PROVIDERS.iter().find(|entry| !aliases(entry).is_empty()).unwrap();
    assert_eq!(run(&["providers", aliases(entry)[0]]), run(&["providers", entry.name]));
    let (code, all, _) = run(&["providers", "--json"]);
    assert!(code == 0 && all.starts_with("[{") && all.ends_with("}]\n"), "{all}");
    let (code, one, _) = run(&["providers", "--json", "noip"]);
    assert!(code == 0 && one.starts_with("{\"name\":\"noip\""), "{one}");
    let (code, out, why) = run(&["providers", "no-ip"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(why, "porchlight: there is no provider no-ip; did you mean noip?\n");
    assert_eq!(run(&["providers", "noip", "dyn"]).0, 2);
    assert_eq!(run(&["providers", "--yaml"]).0, 2);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "it wrote something");
    std::fs::remove_dir_all(&root).unwrap();
}
