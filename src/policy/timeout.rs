//! `timeout`, `idle_timeout` and `deadline`: how long an exchange may take.
