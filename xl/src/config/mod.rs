//! Configurations: xl.cfg, xl.conf, cpupool files and their TOML forms, into libxl's types.
pub mod diagnostic;
pub mod grammar;
pub mod lexer;
pub mod number;
pub mod source;
