//! The tool as a whole against a real Cassandra and a real Kafka.
//!
//! `model` says what a run must leave behind, `world` gives each test a keyspace, a topic and a
//! folder of its own; the other modules are one topic each. Servers that are not running are started.

mod kafka;
mod model;
mod process;
mod services;
mod tables;
mod world;
