//! What every Codis HA daemon shares and that touches the world: coordinator, HTTP, config, telemetry, shutdown.
