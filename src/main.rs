//! The program: the library does it all.

fn main() -> std::process::ExitCode {
    avp_conform::cli::main()
}
