//! Gives each job its memo key, where results are recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use moil_cwl::expression::Context;
use moil_cwl::inherit::Effective;
use moil_cwl::limits;
use moil_cwl::value::Value;
use moil_job::failure::Failure;
use moil_job::identity::{Origin, Origins};
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
    /// The checksums of what jobs of this run made, by location.
    made: RwLock<HashMap<Arc<str>, Arc<str>>>,
}

/// Origins that are told only such checksums as were computed for that very file: an expression may have given a file
/// another location, and left it the checksum.
struct Believed<'a> {
    origins: &'a dyn Origins,
    made: &'a HashMap<Arc<str>, Arc<str>>,
}

impl Origins for Believed<'_> {
    fn origin(&self, location: &str, checksum: Option<&str>) -> Result<Origin, String> {
        let computed = self.made.get(location).map(|checksum| &**checksum);
        self.origins.origin(location, checksum.filter(|checksum| computed == Some(checksum)))
    }
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
        Self { keys, origins, image, options, tools: Mutex::default(), made: RwLock::default() }
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
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        Ok(self.keys.job(tool_key, &facts, &Believed { origins: &*self.origins, made: &made }))
    }

    /// The name of an evaluation that is made of these texts and sees these values; `None` where it is not known what
    /// one of their files is.
    pub fn evaluation(&self, texts: &[&str], values: &Value, secrets: &Secrets) -> Option<String> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        self.keys.evaluation(texts, values, secrets, &Believed { origins: &*self.origins, made: &made }).ok()
    }

    /// Takes note of the checksums of what a job made.
    pub fn learn(&self, outputs: &Value) {
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        outputs.visit_files(&mut |item| {
            if let Value::File(file) = item
                && let (Some(location), Some(checksum)) = (&file.location, &file.checksum)
            {
                made.insert(Arc::clone(location), Arc::clone(checksum));
            }
        });
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
