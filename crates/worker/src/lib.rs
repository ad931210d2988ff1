//! Runs one attempt of a job, and the local executor on top of it.
//!
//! The way of an attempt ([`run`]): its directories are made ([`attempt_dir`]), inputs of other machines are
//! fetched ([`downloads`]), what this machine cannot do is refused (`image`), inputs are put in place
//! (`stage`), the tool runs (`process`, started by the [`spawner`]), its outputs are found (`collect`, over
//! `tree`), measured ([`publish`]), and the scratch goes ([`scratch`]). Each stage looks at the same
//! switch ([`cancel`]).
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | what the binary decides once for all attempts |
//! | [`container`] | running a tool in a container |
//! | [`direct`] | running it without the engine |
//! | [`apart`] | keeping tools without containers apart that share a pod |
//! | [`docker`] | what Docker and Podman want beside a process of their client |
//! | [`image_source`] | the image that DockerRequirement asks for |
//! | [`fetched_once`] | images that are fetched anew once in a run |
//! | [`input_cache`] | inputs that many processes and runs fetch once |
//! | `engine_failure` | telling failures of the engine from those of the tool |
//! | `place` | under which paths a tool sees its directories |
//! | [`local`] | the executor of this machine |
//! | [`processes`] | the executor whose workers are processes of their own |
//! | [`spawner`] | the helper process that starts tools and lets nothing survive |
//! | [`measure`] | size and checksum of files, each read once |
//! | [`files`] | files of this machine, as the pure functions see them |
//! | [`spare`] | what one attempt leaves empty and the next can use |
//! | [`summary`] | what is told of a failed tool |
//! | [`system`] | errors of the operating system as failures |
//! | [`stuck`] | whether all memory is taken and nothing goes on |
//! | [`usage`] | what an attempt took; whether memory ran out |
//! | `fingerprint` | whether files are still what they were |
//! | `in_place` | what a tool changes in place |
//! | `keep` | outputs go to where they outlive the attempt |
//! | `live` | telling a tool's output while it runs |
//! | `secrets` | taking secrets out of what a tool says |

pub mod apart;
pub mod attempt_dir;
pub mod cancel;
mod collect;
pub mod config;
pub mod container;
pub mod direct;
pub mod docker;
pub mod downloads;
mod engine_failure;
pub mod fetched_once;
pub mod files;
mod fingerprint;
mod image;
pub mod image_source;
mod in_place;
pub mod input_cache;
mod keep;
pub mod kept_logs;
mod live;
pub mod local;
pub mod machine;
pub mod measure;
mod place;
mod process;
pub mod processes;
pub mod publish;
pub mod run;
pub mod scratch;
mod secrets;
pub mod spare;
pub mod spawner;
mod stage;
pub mod stuck;
pub mod summary;
pub mod system;
mod tree;
pub mod usage;
