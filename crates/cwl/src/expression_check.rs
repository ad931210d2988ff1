//! The syntax of all expressions of a process, checked when it is loaded (CWL v1.2 §"Expressions").
//!
//! What is broken is a warning: other runners go on until the expression is evaluated, and a step that
//! is skipped never is.

use std::collections::HashSet;
use std::sync::Arc;

use moil_salad::diagnostic::Diagnostic;
use moil_salad::source::Place;

use crate::expression::SyntaxCheck;
use crate::inherit::{Effective, Inherited};
use crate::parameter::{CommandLineBinding, OutputBinding, Required, SecondaryFilePattern};
use crate::process::{Argument, CommandLineTool, Common, Process, Step};
use crate::requirement::{BoolOrText, RequirementKind, Requirements, ResourceRequirement, WorkDirEntry};
use crate::text::{NumberOrText, Text};
use crate::types::Type;

/// What is wrong with the expressions of a process and all that it runs, with the requirements that
/// are in force around it. Of the processes in `hollow`, by identifier, not all inputs are known.
pub fn check(process: &Process, around: &Inherited, hollow: &HashSet<Arc<str>>) -> Vec<Diagnostic> {
    let mut check = Check {
        syntax: SyntaxCheck::default(),
        seen: HashSet::new(),
        hollow,
        inputs: None,
        diagnostics: Vec::new(),
    };
    check.process(process, around);
    check.diagnostics
}

struct Check<'p> {
    syntax: SyntaxCheck,
    /// Shared processes and types that were looked at, with and without JavaScript.
    seen: HashSet<(usize, bool)>,
    hollow: &'p HashSet<Arc<str>>,
    /// What can be named in the expressions that are being checked, if that is known.
    inputs: Option<Vec<&'p str>>,
    diagnostics: Vec<Diagnostic>,
}

impl<'p> Check<'p> {
    // The depth of the recursion was limited when the processes were made.
    fn process(&mut self, process: &'p Process, around: &Inherited) {
        let common = process.common();
        let inside = around.enter(&common.requirements);
        let effective = inside.effective(common.version);
        let address = std::ptr::from_ref(common) as usize;
        if !self.seen.insert((address, effective.javascript.is_some())) {
            return;
        }
        let names = || common.inputs.iter().map(|input| &*input.name).collect();
        let names = (!self.hollow.contains(&common.id)).then(names);
        let outside = std::mem::replace(&mut self.inputs, names);
        self.common(common, &effective);
        match process {
            Process::Tool(tool) => self.tool(tool, &effective),
            Process::Expression(tool) => self.text(&tool.expression, &effective),
            Process::Workflow(workflow) => {
                for step in &workflow.steps {
                    self.step(step, &inside, &effective);
                }
            }
            Process::Operation(_) => {}
            Process::Generator(generator) => self.process(&generator.run, &inside),
        }
        self.inputs = outside;
    }

    fn common(&mut self, common: &Common, effective: &Effective) {
        self.requirements(&common.requirements, effective);
        for input in &common.inputs {
            self.type_(&input.type_, effective, 0);
            self.secondary_files(&input.secondary_files, effective);
            self.texts(&input.format, effective);
            self.binding(input.binding.as_ref(), effective);
        }
        for output in &common.outputs {
            self.type_(&output.type_, effective, 0);
            self.secondary_files(&output.secondary_files, effective);
            self.texts(&output.format, effective);
            self.output_binding(output.binding.as_ref(), effective);
        }
    }

    fn tool(&mut self, tool: &CommandLineTool, effective: &Effective) {
        for argument in &tool.arguments {
            match argument {
                Argument::Text(text) => self.text(text, effective),
                Argument::Binding(binding) => self.binding(Some(binding), effective),
            }
        }
        self.texts([&tool.stdin, &tool.stdout, &tool.stderr].into_iter().flatten(), effective);
    }

    fn step(&mut self, step: &'p Step, workflow: &Inherited, around: &Effective) {
        let inside = workflow.enter(&step.requirements);
        let effective = inside.effective(around.version);
        // Requirements of a step are evaluated for what it runs.
        let outside = self.inputs.take();
        self.requirements(&step.requirements, &effective);
        self.inputs = outside.as_ref().map(|_| step.inputs.iter().map(|input| &*input.name).collect());
        self.texts(step.when.iter().chain(step.loop_.iter().map(|loop_| &loop_.when)), &effective);
        self.texts(step.inputs.iter().filter_map(|input| input.value_from.as_ref()), &effective);
        let rounds = step.loop_.iter().flat_map(|loop_| &loop_.inputs);
        self.texts(rounds.filter_map(|input| input.value_from.as_ref()), &effective);
        self.inputs = outside;
        self.process(&step.run, &inside);
    }

    fn requirements(&mut self, requirements: &Requirements, effective: &Effective) {
        for requirement in requirements.required.iter().chain(&requirements.hints) {
            match &requirement.kind {
                RequirementKind::InlineJavascript(library) => self.library(library, &requirement.place),
                RequirementKind::InitialWorkDir(entries) => self.work_dir(entries, effective),
                RequirementKind::EnvVar(variables) => {
                    self.texts(variables.iter().map(|(_, value)| value), effective);
                }
                RequirementKind::Resource(resources) => self.resources(resources, effective),
                RequirementKind::WorkReuse(BoolOrText::Text(text))
                | RequirementKind::NetworkAccess(BoolOrText::Text(text))
                | RequirementKind::ToolTimeLimit(NumberOrText::Text(text))
                | RequirementKind::Mpi(NumberOrText::Text(text))
                | RequirementKind::ShmSize(text) => self.text(text, effective),
                RequirementKind::Cuda(cuda) => {
                    let counts = [Some(&cuda.device_count_min), cuda.device_count_max.as_ref()];
                    counts.into_iter().for_each(|count| self.number(count, effective));
                }
                _ => {}
            }
        }
    }

    fn library(&mut self, library: &Arc<Vec<Text>>, around: &Place) {
        for part in library.iter() {
            if let Some(reason) = self.syntax.program(&part.text) {
                let message = format!("a part of `expressionLib` is not JavaScript: {reason}");
                self.diagnostics.push(
                    Diagnostic::warning("invalid-expression", &part.place, message)
                        .with_related(around, "the requirement is here"),
                );
            }
        }
    }

    fn work_dir(&mut self, entries: &[WorkDirEntry], effective: &Effective) {
        for entry in entries {
            match entry {
                WorkDirEntry::Dirent { entry, entryname, .. } => {
                    self.text(entry, effective);
                    self.texts(entryname, effective);
                }
                WorkDirEntry::Text(text) => self.text(text, effective),
                WorkDirEntry::Value(_) => {}
            }
        }
    }

    fn resources(&mut self, resources: &ResourceRequirement, effective: &Effective) {
        let ResourceRequirement {
            cores_min,
            cores_max,
            ram_min,
            ram_max,
            tmpdir_min,
            tmpdir_max,
            outdir_min,
            outdir_max,
        } = resources;
        for number in [cores_min, cores_max, ram_min, ram_max, tmpdir_min, tmpdir_max, outdir_min, outdir_max]
        {
            self.number(number.as_ref(), effective);
        }
    }

    fn type_(&mut self, type_: &Type, effective: &Effective, depth: usize) {
        let address = match type_ {
            Type::Record(record) => Arc::as_ptr(record) as usize,
            Type::Enum(enumeration) => Arc::as_ptr(enumeration) as usize,
            Type::Array(array) => Arc::as_ptr(array) as usize,
            Type::Union(types) => Arc::as_ptr(types) as usize,
            _ => return,
        };
        // Types of this depth are refused by the conversion. Those that name each other often are shared.
        if depth > 100 || !self.seen.insert((address, effective.javascript.is_some())) {
            return;
        }
        match type_ {
            Type::Record(record) => {
                self.binding(record.binding.as_ref(), effective);
                for field in &record.fields {
                    self.type_(&field.type_, effective, depth + 1);
                    self.secondary_files(&field.secondary_files, effective);
                    self.texts(&field.format, effective);
                    self.binding(field.input_binding.as_ref(), effective);
                    self.output_binding(field.output_binding.as_ref(), effective);
                }
            }
            Type::Enum(enumeration) => self.binding(enumeration.binding.as_ref(), effective),
            Type::Array(array) => {
                self.binding(array.binding.as_ref(), effective);
                self.type_(&array.items, effective, depth + 1);
            }
            Type::Union(types) => {
                types.iter().for_each(|type_| self.type_(type_, effective, depth + 1));
            }
            _ => {}
        }
    }

    fn binding(&mut self, binding: Option<&CommandLineBinding>, effective: &Effective) {
        let Some(binding) = binding else { return };
        self.number(binding.position.as_ref(), effective);
        self.texts(&binding.value_from, effective);
    }

    fn output_binding(&mut self, binding: Option<&OutputBinding>, effective: &Effective) {
        let Some(binding) = binding else { return };
        self.texts(&binding.glob, effective);
        self.texts(&binding.output_eval, effective);
    }

    fn secondary_files(&mut self, patterns: &[SecondaryFilePattern], effective: &Effective) {
        for pattern in patterns {
            self.text(&pattern.pattern, effective);
            if let Some(Required::Text(text)) = &pattern.required {
                self.text(text, effective);
            }
        }
    }

    fn number(&mut self, number: Option<&NumberOrText>, effective: &Effective) {
        if let Some(NumberOrText::Text(text)) = number {
            self.text(text, effective);
        }
    }

    fn texts<'t>(&mut self, texts: impl IntoIterator<Item = &'t Text>, effective: &Effective) {
        texts.into_iter().for_each(|text| self.text(text, effective));
    }

    fn text(&mut self, text: &Text, effective: &Effective) {
        if !text.is_constant() {
            let javascript = effective.javascript.is_some();
            let inputs = self.inputs.as_deref();
            self.diagnostics.extend(self.syntax.text(text, inputs, javascript, effective.version));
        }
    }
}

#[cfg(test)]
mod tests;
