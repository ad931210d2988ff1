//! Gives each job its memo key, where results are recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use moil_cwl::expression::Context;
use moil_cwl::inherit::Effective;
use moil_cwl::limits;
use moil_job::failure::Failure;
use moil_job::identity::Origins;
use moil_job::key::{JobFacts, Key, Keys, NoKey, ToolKey};
use moil_job::resources::Resources;
use moil_job::secret::Secrets;
use moil_job::spec::JobTool;

/// The image that a tool with these requirements runs in, as its key is to know it.
pub type ImageOf = dyn Fn(&Effective) -> Option<String> + Send + Sync;

/// How many tools are remembered at a time: a run of many generated workflows has new ones all the time.
const TOOLS: usize = 1_000;

/// Makes the keys of one run.
pub struct Keying {
    keys: Keys,
    origins: Box<dyn Origins + Send + Sync>,
    image: Box<ImageOf>,
    options: Vec<(String, String)>,
    /// By the address of the tool, which is held so that it stays the tool's own.
    tools: Mutex<HashMap<usize, Keyed>>,
}

/// A tool with its part of the keys.
type Keyed = (Arc<JobTool>, Arc<Result<ToolKey, NoKey>>);

impl Keying {
    /// Keys of a run, in which the options with these names and values decide, too.
    pub fn new(
        keys: Keys,
        origins: Box<dyn Origins + Send + Sync>,
        image: Box<ImageOf>,
        options: Vec<(String, String)>,
    ) -> Self {
        Self { keys, origins, image, options, tools: Mutex::default() }
    }

    /// The key of a job, or why it has none. `context` has its complete inputs.
    ///
    /// # Errors
    /// What expressions in WorkReuse and NetworkAccess give.
    pub fn key(
        &self,
        tool: &Arc<JobTool>,
        context: &Context<'_>,
        secrets: &Secrets,
        requested: Resources,
    ) -> Result<Result<Key, NoKey>, Failure> {
        let tool_key = self.tool(tool);
        let tool_key = match &*tool_key {
            Ok(key) => key,
            Err(reason) => return Ok(Err(reason.clone())),
        };
        let image = (self.image)(&tool.effective);
        let facts = JobFacts {
            inputs: context.inputs,
            secrets,
            requested,
            reuse: limits::work_reuse(&tool.effective, context)?,
            network: limits::network(&tool.effective, context)?,
            image: image.as_deref(),
            options: &self.options,
        };
        Ok(self.keys.job(tool_key, &facts, &*self.origins))
    }

    fn tool(&self, tool: &Arc<JobTool>) -> Arc<Result<ToolKey, NoKey>> {
        let address = Arc::as_ptr(tool) as usize;
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = tools.get(&address) {
            return Arc::clone(key);
        }
        if tools.len() >= TOOLS {
            tools.clear();
        }
        let key = Arc::new(self.keys.tool(tool));
        tools.insert(address, (Arc::clone(tool), Arc::clone(&key)));
        key
    }
}
