//! CWL v1.0, v1.1 and v1.2 on top of [`moil_salad`]: documents become
//! processes, and pure functions prepare a step, build a command line and
//! collect an output object. Nothing here touches a disk but through
//! [`files::Files`], or another document but through [`moil_salad::fetch::Fetch`].

mod assignable;
pub mod canonical;
pub mod collect;
pub mod command_line;
pub mod conform;
pub mod convert;
pub mod cwl_output_json;
mod cycle;
pub mod deps;
pub mod document;
mod document_writer;
pub mod environment;
pub mod error;
pub mod expression;
pub mod expression_check;
pub mod expression_tool;
pub mod features;
pub mod file_fields;
pub mod file_object;
pub mod files;
pub mod finished;
pub mod glob;
pub mod graph_print;
pub mod inherit;
pub mod initial_work_dir;
pub mod input_object;
pub mod input_options;
mod javascript;
#[cfg(test)]
mod job_fixture;
pub mod json;
pub mod limits;
pub mod link_check;
pub mod load;
pub mod load_contents;
pub mod location;
pub mod merge;
pub mod number;
pub mod ontology;
pub mod output_tree;
pub mod overrides;
pub mod pack;
pub mod parameter;
pub mod parameter_reference;
pub mod prepare;
#[cfg(test)]
mod preparing_fixture;
pub mod print;
pub mod process;
pub mod process_inputs;
pub mod requirement;
pub mod resource_request;
pub mod scatter;
pub mod schema;
pub mod secondary_files;
pub mod secret_inputs;
pub mod shell;
pub mod staging;
pub mod streams;
pub mod subgraph;
#[cfg(test)]
mod test_support;
pub mod text;
pub mod type_name;
pub mod types;
pub mod upgrade;
pub mod value;
mod wire;
pub mod workflow_outputs;
