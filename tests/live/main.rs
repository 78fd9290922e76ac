//! The tool as a whole against a real Cassandra and a real Kafka.
//!
//! `model` says what a run must leave behind, `world` gives each test a keyspace, a topic and a
//! folder of its own; the other modules are one topic each. Servers that are not running are started.

mod addresses;
mod altered;
mod bad_runs;
mod browser;
mod composite;
mod conditions;
mod data;
mod distrust;
mod faults;
mod frames;
mod guardrails;
mod hangs;
mod inputs;
mod inspect;
mod kafka;
mod limits;
mod lists;
mod live_page;
mod lookup;
mod merge;
mod model;
mod night;
mod outage;
mod pacing;
mod pages;
mod plan;
mod process;
mod proxy;
mod reports;
mod restored;
mod resume;
mod roles;
mod run_dir;
mod runs;
mod scan;
mod seam;
mod security;
mod services;
mod settings;
mod spec;
mod stops;
mod surroundings;
mod sweep;
mod tables;
mod times;
mod topics;
mod undo;
mod union;
mod verify;
mod versions;
mod watched;
mod wire;
mod world;
