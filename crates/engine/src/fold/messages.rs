//! Events as JSON lines for other programs (`--writeMessages`).

use moil_job::event::Event;
use serde_json::{Value, json};

/// The message of an event; `seconds` is the time since the run began. `None` for events that other
/// programs have no use for.
pub fn message(event: &Event, seconds: f64) -> Option<Value> {
    let mut message = match event {
        Event::WorkflowStarted { name } => json!({ "event": "workflow_started", "workflow": &**name }),
        Event::WorkflowFinished { name, success } => {
            json!({ "event": "workflow_finished", "workflow": &**name, "success": success })
        }
        Event::StepStarted { step, elements } => {
            json!({ "event": "step_started", "step": &**step, "elements": elements })
        }
        Event::StepFinished { step, status } => {
            json!({ "event": "step_finished", "step": &**step, "status": status.words() })
        }
        Event::JobStarted { attempt, name, step, granted } => json!({
            "event": "job_started",
            "job": attempt.job.to_string(),
            "attempt": attempt.number,
            "name": &**name,
            "step": &**step,
            "cores": granted.cores,
            "ram_mib": granted.ram_mib,
            "disk_mib": granted.disk_mib(),
        }),
        Event::JobFinished { attempt, name, step, status, usage } => json!({
            "event": "job_finished",
            "job": attempt.job.to_string(),
            "attempt": attempt.number,
            "name": &**name,
            "step": &**step,
            "status": status.words(),
            "wall_seconds": usage.map(|usage| usage.wall.as_secs_f64()),
            "cpu_seconds": usage.map(|usage| usage.cpu.as_secs_f64()),
            "peak_memory_bytes": usage.map(|usage| usage.peak_memory),
        }),
        Event::JobFailed { attempt, name, step, failure, retry } => json!({
            "event": "job_failed",
            "job": attempt.job.to_string(),
            "attempt": attempt.number,
            "name": &**name,
            "step": &**step,
            "failure": &**failure,
            "retry_in_seconds": retry.map(|retry| retry.wait),
        }),
        Event::Warning(text) => json!({ "event": "warning", "message": text }),
        Event::JobPlaced { name, place, .. } => {
            json!({ "event": "placed", "name": &**name, "place": &**place })
        }
        Event::Note { name, text } => json!({ "event": "note", "name": &**name, "message": text }),
        Event::ToolOutput { .. } | Event::Console(_) => return None,
    };
    message["seconds"] = json!(seconds);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line() {
        let event = Event::StepStarted { step: "align".into(), elements: 3 };
        let line = message(&event, 1.5).map(|message| message.to_string());
        assert_eq!(
            line.as_deref(),
            Some(r#"{"event":"step_started","step":"align","elements":3,"seconds":1.5}"#)
        );
    }
}
