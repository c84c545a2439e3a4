//! The explorer as state: no terminal, no I/O, no clock.
