//! Joins the parts for one run: documents, inputs, engine, executor, export.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use moil_cwl::document::LoadOptions;
use moil_cwl::expression::Limits;
use moil_cwl::inherit::Inherited;
use moil_cwl::load::{self, Loaded};
use moil_cwl::process::Process;
use moil_cwl::resource_request::Defaults;
use moil_cwl::value::{Value, ValueMap};
use moil_engine::admission::Capacity;
use moil_engine::evaluator::{self, Evaluators};
use moil_engine::export::{self, Export};
use moil_engine::fold::messages;
use moil_engine::fold::statistics::Statistics;
use moil_engine::graph::Node;
use moil_engine::leader::{Leader, Message, Policy, RunEnd};
use moil_engine::plan::Plan;
use moil_engine::retry::RetryPolicy;
use moil_job::event::Event;
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::memory::MemoryStore;
use moil_jobstore::remote::{self, Remote};
use moil_salad::diagnostic::Diagnostic;
use moil_worker::config::WorkerConfig;
use moil_worker::local::LocalExecutor;
use moil_worker::spawner::Spawner;

use crate::log::{Level, Log};
use crate::progress::{self, Display};
use crate::settings::{HandOver, Settings};
use crate::signals::Signals;
