//! What a job asks for (CWL v1.2 CommandLineTool §"ResourceRequirement").

use std::sync::Arc;

use moil_salad::source::Place;

use crate::conform::describe;
use crate::error::Error;
use crate::expression::Context;
use crate::inherit::Effective;
use crate::text::NumberOrText;
use crate::value::{Value, ValueMap};

/// The most of anything that can be asked for; what is more is a mistake.
const LIMIT: f64 = (1_u64 << 53) as f64;

/// What a job asks for. Sizes are in mebibytes, rounded up.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRequest {
    /// `coresMin`, which may be a fraction.
    pub cores: f64,
    /// `coresMax`, where given.
    pub cores_max: Option<f64>,
    /// `ramMin`.
    pub ram_mib: u64,
    /// `ramMax`, where given.
    pub ram_max_mib: Option<u64>,
    /// `tmpdirMin`.
    pub tmpdir_mib: u64,
    /// `outdirMin`.
    pub outdir_mib: u64,
    /// `cwltool:CUDARequirement`.
    pub gpus: Option<Gpus>,
}

/// The graphics processors that a job asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpus {
    /// `cudaDeviceCountMin`.
    pub count: u64,
    /// `cudaDeviceCountMax`, where given.
    pub count_max: Option<u64>,
    /// `cudaVersionMin`.
    pub version_min: Arc<str>,
    /// `cudaComputeCapability`: any of these.
    pub compute_capability: Vec<Arc<str>>,
}

/// What a job gets that does not ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Cores.
    pub cores: f64,
    /// Memory in mebibytes.
    pub ram_mib: u64,
    /// Space for temporary files in mebibytes.
    pub tmpdir_mib: u64,
    /// Space for outputs in mebibytes.
    pub outdir_mib: u64,
}

/// What CWL v1.2 says.
impl Default for Defaults {
    fn default() -> Self {
        Self { cores: 1.0, ram_mib: 256, tmpdir_mib: 1024, outdir_mib: 1024 }
    }
}

/// Evaluates the ResourceRequirement in force. A minimum that is missing or null is the maximum, or else the default.
///
/// # Errors
/// What expressions give; a result that is no number, negative or absurdly large; a maximum below the minimum.
pub fn request(
    effective: &Effective,
    context: &Context<'_>,
    defaults: Defaults,
) -> Result<ResourceRequest, Error> {
    let none = Arc::default();
    let resources = effective.resources.as_ref().unwrap_or(&none);
    let range = |name: &str, min: &Option<NumberOrText>, max: &Option<NumberOrText>| {
        range(name, min.as_ref(), max.as_ref(), context)
    };
    let cores = range("cores", &resources.cores_min, &resources.cores_max)?;
    let ram = range("ram", &resources.ram_min, &resources.ram_max)?;
    let tmpdir = range("tmpdir", &resources.tmpdir_min, &resources.tmpdir_max)?;
    let outdir = range("outdir", &resources.outdir_min, &resources.outdir_max)?;
    let gpus = match effective.cuda.as_deref() {
        None => None,
        Some(cuda) => {
            let count =
                range("cudaDeviceCount", &Some(cuda.device_count_min.clone()), &cuda.device_count_max)?;
            Some(Gpus {
                count: count.min.map_or(1, round_up),
                count_max: count.max.map(round_up),
                version_min: Arc::clone(&cuda.version_min),
                compute_capability: cuda.compute_capability.clone(),
            })
        }
    };
    Ok(ResourceRequest {
        cores: cores.min.unwrap_or(defaults.cores),
        cores_max: cores.max,
        ram_mib: ram.min.map_or(defaults.ram_mib, round_up),
        ram_max_mib: ram.max.map(round_up),
        tmpdir_mib: tmpdir.min.map_or(defaults.tmpdir_mib, round_up),
        outdir_mib: outdir.min.map_or(defaults.outdir_mib, round_up),
        gpus,
    })
}

/// The `runtime` object of expressions (CWL v1.2 CommandLineTool §"Runtime environment"): what was asked for,
/// rounded up, whatever the job is given. `exitCode` is added by [`with_exit_code`] once there is one.
pub fn runtime(request: &ResourceRequest, outdir: &str, tmpdir: &str) -> Value {
    let number = |value: u64| Value::from(i64::try_from(value).unwrap_or(i64::MAX));
    let mut entries = ValueMap::new();
    // A tool that is told to use no core at all would refuse, or use all there are.
    entries.insert("cores".into(), number(round_up(request.cores).max(1)));
    entries.insert("ram".into(), number(request.ram_mib));
    entries.insert("tmpdirSize".into(), number(request.tmpdir_mib));
    entries.insert("outdirSize".into(), number(request.outdir_mib));
    entries.insert("tmpdir".into(), tmpdir.into());
    entries.insert("outdir".into(), outdir.into());
    if let Some(gpus) = &request.gpus {
        entries.insert("cudaDeviceCount".into(), number(gpus.count));
    }
    Value::map(entries)
}

/// The `runtime` object for `outputEval`: with `exitCode` (since v1.1).
pub fn with_exit_code(runtime: &Value, exit_code: i64) -> Value {
    let mut entries = runtime.as_map().cloned().unwrap_or_default();
    entries.insert("exitCode".into(), exit_code.into());
    Value::map(entries)
}

/// Both are non-negative, finite and below [`LIMIT`].
struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

fn range(
    name: &str,
    min: Option<&NumberOrText>,
    max: Option<&NumberOrText>,
    context: &Context<'_>,
) -> Result<Range, Error> {
    let place = [min, max].into_iter().flatten().find_map(place_of);
    let min = amount(&format!("{name}Min"), min, context)?;
    let max = amount(&format!("{name}Max"), max, context)?;
    match (min, max) {
        (Some(min), Some(max)) if max < min => Err(Error::Invalid {
            place,
            message: format!("{name}Max is {max}, which is less than {name}Min ({min})"),
        }),
        _ => Ok(Range { min: min.or(max), max }),
    }
}

fn place_of(value: &NumberOrText) -> Option<Place> {
    match value {
        NumberOrText::Number(_) => None,
        NumberOrText::Text(text) => Some(text.place.clone()),
    }
}

fn amount(name: &str, value: Option<&NumberOrText>, context: &Context<'_>) -> Result<Option<f64>, Error> {
    let Some(written) = value else { return Ok(None) };
    let value = match written {
        NumberOrText::Number(number) => Value::Number(number.clone()),
        NumberOrText::Text(text) => context.evaluate(text, &Value::Null)?,
    };
    let must = match &value {
        Value::Null => return Ok(None),
        Value::Number(number) => {
            let amount = number.as_f64();
            if amount < 0.0 {
                "cannot be negative"
            } else if amount < LIMIT {
                return Ok(Some(amount));
            } else {
                "is more than any machine has"
            }
        }
        _ => "must be a number",
    };
    Err(Error::Invalid {
        place: place_of(written),
        message: format!("{name} is {}, but {must}", describe(&value)),
    })
}

/// The argument comes from [`amount`]: the cast neither wraps nor cuts.
fn round_up(amount: f64) -> u64 {
    amount.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_fixture::{Fixture, effective, text};
    use crate::number::Number;
    use crate::requirement::{CudaRequirement, ResourceRequirement};

    const INPUTS: &str = r#"{"size": 254.1, "two": 2, "minus": -1, "word": "x", "none": null}"#;

    fn asked(resources: ResourceRequirement) -> Result<ResourceRequest, String> {
        let effective = Effective { resources: Some(Arc::new(resources)), ..effective() };
        Fixture::new(INPUTS)
            .with(|context| request(&effective, context, Defaults::default()))
            .map_err(|e| e.to_string())
    }

    fn number(value: f64) -> Option<NumberOrText> {
        Some(NumberOrText::Number(Number::from(value)))
    }

    fn expression(name: &str) -> Option<NumberOrText> {
        Some(NumberOrText::Text(text(&format!("$(inputs.{name})"))))
    }

    #[test]
    fn fractions_are_rounded_up_where_the_tool_sees_them() {
        let resources = ResourceRequirement {
            cores_min: number(1.5),
            ram_min: expression("size"),
            tmpdir_min: number(255.9),
            outdir_max: number(256.1),
            ..Default::default()
        };
        let request = asked(resources).expect("valid");
        assert_eq!((request.cores, request.cores_max), (1.5, None));
        let runtime = runtime(&request, "/out", "/tmp");
        let shown: Vec<String> = ["cores", "ram", "tmpdirSize", "outdirSize"]
            .map(|name| match runtime.field(name) {
                Value::Number(n) => n.to_command_line(),
                other => format!("{other:?}"),
            })
            .into();
        assert_eq!(shown, ["2", "255", "256", "257"]);
        assert_eq!(runtime.field("outdir"), &Value::from("/out"));
        assert_eq!(runtime.field("exitCode"), &Value::Null);
        assert_eq!(with_exit_code(&runtime, 3).field("exitCode"), &Value::from(3));
    }

    #[test]
    fn a_maximum_alone_is_the_minimum() {
        let request =
            asked(ResourceRequirement { cores_max: number(4.0), ..Default::default() }).expect("valid");
        assert_eq!((request.cores, request.cores_max), (4.0, Some(4.0)));
    }

    #[test]
    fn what_is_not_asked_for_is_the_default() {
        let request =
            asked(ResourceRequirement { ram_min: expression("none"), ..Default::default() }).expect("valid");
        assert_eq!(
            (request.cores, request.ram_mib, request.tmpdir_mib, request.outdir_mib),
            (1.0, 256, 1024, 1024)
        );
        assert_eq!(request.gpus, None);
    }

    #[test]
    fn impossible_requests_are_refused() {
        for (resources, reason) in [
            (
                ResourceRequirement { cores_min: number(-1.0), ..Default::default() },
                "coresMin is a number (-1), but cannot be negative",
            ),
            (ResourceRequirement { ram_min: expression("minus"), ..Default::default() }, "negative"),
            (ResourceRequirement { ram_min: expression("word"), ..Default::default() }, "must be a number"),
            (ResourceRequirement { ram_min: number(f64::NAN), ..Default::default() }, "more than any"),
            (ResourceRequirement { ram_min: number(1e300), ..Default::default() }, "more than any"),
            (
                ResourceRequirement {
                    cores_min: number(4.0),
                    cores_max: expression("two"),
                    ..Default::default()
                },
                "coresMax is 2, which is less than coresMin (4)",
            ),
        ] {
            let message = asked(resources).expect_err(reason);
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn graphics_processors_are_counted() {
        let cuda = CudaRequirement {
            version_min: "11.4".into(),
            compute_capability: vec!["3.0".into()],
            device_count_min: NumberOrText::Text(text("$(inputs.two)")),
            device_count_max: None,
        };
        let effective = Effective { cuda: Some(Arc::new(cuda)), ..effective() };
        let request = Fixture::new(INPUTS)
            .with(|context| request(&effective, context, Defaults::default()))
            .expect("valid");
        assert_eq!(request.gpus.as_ref().map(|gpus| gpus.count), Some(2));
        assert_eq!(runtime(&request, "/o", "/t").field("cudaDeviceCount"), &Value::from(2));
    }
}
