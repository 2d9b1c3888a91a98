//! A durable journal for any state machine.
