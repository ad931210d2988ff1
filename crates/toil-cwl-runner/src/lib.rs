//! `toil-cwl-runner` and `moil`: the only crate that prints, exits or reads
//! the environment. Where to find what:
//!
//! | module | holds |
//! |---|---|
//! | [`run`] | one run, from the command line to the exit code |
//! | [`assemble`] | joins the parts for one run |
//! | `audience` | those who are told what happens in a run |
//! | `downloader` | fetches what jobs need and is not on this machine |
//! | [`aws`] | how S3 is reached |
//! | [`job_store`] | the job store of a run |
//! | [`keys`] | what decides the results of jobs |
//! | `left_logs` | what tools of workers elsewhere printed comes to the leader |
//! | [`work_directory`] | where attempts work |
//! | `worker_form` | what workers in other processes must know of settings |
//! | [`definition`] | what a job store keeps of a run, so that any machine can lead it on |
//! | `elsewhere` | how their executor is set up |
//! | [`home`] | outputs are brought to the output directory |
//! | [`generated`] | loads the processes that generators make |
//! | [`inputs`] | the input object |
//! | [`watched_inputs`] | input files that change during the run |
//! | [`prints`] | what is printed about a document |
//! | [`commands`] | the commands of `moil` |
//! | `images` | `moil images` |
//! | [`invocation`] | what the program gets from outside |
//! | [`mpi_config`] | `--mpi-config-file` |
//! | [`options`] | the table of options |
//! | [`argparse`] | the command line, read by that table |
//! | [`environment`] | the table of environment variables |
//! | `containers` | how containers are run |
//! | `input_cache` | the inputs that workers of one machine share |
//! | [`config_file`] | the config file |
//! | [`given`] | options with their values, from all three |
//! | [`settings`] | what they mean: typed, with defaults |
//! | [`help`] | `--help` and `--version` |
//! | [`exit_code`] | the table of exit codes |
//! | [`log`] | lines on stderr and in the log file |
//! | [`log_file`] | that file, and how it is kept short |
//! | [`progress`] | progress on a terminal, plain lines elsewhere |
//! | [`failure_report`] | a failure in about ten lines |
//! | [`signals`] | SIGINT, SIGTERM and SIGHUP |
//! | [`tls`] | which certificates are trusted |
//! | [`report`] | how faults are shown |
//! | [`docs`] | pages of the documentation made from the tables |
//! | [`suggest`] | "did you mean …?" |
//! | `yaml` | objects in YAML or JSON |

pub mod argparse;
pub mod assemble;
mod audience;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(not(feature = "aws"))]
#[path = "no_aws.rs"]
pub mod aws;
mod cache;
pub mod commands;
pub mod config_file;
mod containers;
pub mod definition;
pub mod docs;
mod downloader;
mod elsewhere;
pub mod environment;
pub mod exit_code;
pub mod failure_report;
pub mod generated;
pub mod given;
pub mod help;
pub mod home;
mod images;
mod input_cache;
pub mod inputs;
pub mod invocation;
pub mod job_store;
pub mod keys;
mod left_logs;
pub mod log;
pub mod log_file;
pub mod mpi_config;
pub mod options;
pub mod prints;
pub mod progress;
pub mod report;
pub mod run;
pub mod settings;
pub mod signals;
pub mod suggest;
pub mod tls;
pub mod watched_inputs;
pub mod work_directory;
mod worker_form;
mod yaml;

pub use invocation::Invocation;
pub use run::run;
