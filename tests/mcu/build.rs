//! Where the linker finds the microcontroller's memory and its vector table.

fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    let on_a_controller = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    if let (true, Ok(here)) = (on_a_controller, std::env::var("CARGO_MANIFEST_DIR")) {
        println!("cargo:rustc-link-search={here}");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
}
