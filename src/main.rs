//! Porchlight: the light stays on for the camera behind a home router. Everything is in the library.

fn main() -> std::process::ExitCode {
    porchlight::cli::main()
}
