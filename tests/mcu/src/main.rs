//! Prints what the decision makes of the recording: on a host to standard output, on a microcontroller by semihosting.
//! The two must be the same, byte for byte.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod replay;

#[cfg(target_os = "none")]
mod controller {
    use core::panic::PanicInfo;

    use cortex_m_rt::entry;
    use cortex_m_semihosting::{debug, hprintln};

    #[entry]
    fn main() -> ! {
        crate::replay::run(|line| hprintln!("{}", line));
        debug::exit(debug::EXIT_SUCCESS);
        loop {}
    }

    #[panic_handler]
    fn panic(info: &PanicInfo) -> ! {
        hprintln!("{}", info);
        debug::exit(debug::EXIT_FAILURE);
        loop {}
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    replay::run(|line| println!("{line}"));
}
