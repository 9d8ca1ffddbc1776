//! **The air**: poll, fetch, stage, activate, confirm; upload; telemetry. tokio and TLS live here and in the fleet only.
//! May import depot and tuf; never the runtime, which must not share an address space with anything that talks to the
//! internet.
//!
//! No code yet, and so no `stopline-agent` program.
