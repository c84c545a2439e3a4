//! The engine's answers, a line each.

use crate::app::App;
use crate::app::text::{bytes, duration};
use crate::engine::protocol::{
    CurvesRun, Event, LensRun, PcaAnswer, RunId, TokenP, TrainEnd, TrainFrame, TrainOutcome, TrainPlan,
    TrainStep,
};
use crate::report::curves::means;
use crate::ui::text::{number, token};
use std::time::Duration;

/// Tokens named of a list.
const NAMED: usize = 3;
/// Lines on the steps of a run.
const STEPS: u64 = 10;

/// What an event says that `app` has just taken in; nothing for those that are on the way to an answer.
pub fn answer(event: &Event, app: &App) -> Vec<String> {
    let name = |run: RunId| app.shared.run_name(run).to_owned();
    match event {
        Event::ModelLoaded { info, .. } => vec![format!(
            "{} is loaded: {}, {} layers, {} on {}, in {}",
            info.name,
            info.architecture,
            info.layers,
            info.dtype,
            info.device,
            duration(Duration::from_millis(info.load_ms))
        )],
        Event::AdapterLoaded { info, .. } => vec![format!(
            "adapter {} is loaded: rank {}, on {}; it changes a logit of the probe by up to {}",
            info.name,
            info.rank,
            info.targets.join(" "),
            number(f64::from(info.probe_change))
        )],
        Event::LensDone { answer, .. } => answer
            .runs
            .iter()
            .map(|r| format!("lens over {} tokens, {}: {}", answer.tokens.len(), name(r.run), lens(r)))
            .collect(),
        Event::CellReady { run, detail, .. } => vec![format!(
            "layer {}, position {}, {}: {}",
            detail.layer,
            detail.position,
            name(*run),
            tops(&detail.residual)
        )],
        Event::CurvesReady { task, lang, answer, .. } => answer
            .runs
            .iter()
            .map(|r| format!("curves of {task} in {lang}, {}: {}", name(r.run), curves(r)))
            .collect(),
        Event::PcaReady { answer, complete: true, .. } => pca(answer, &name),
        Event::EvalDone { elapsed_ms, .. } => {
            let mut said = vec![format!("evaluation is complete, in {}", ms(*elapsed_ms))];
            said.extend(accuracies(app));
            said
        }
        Event::TrainPlanned { plan, .. } => vec![format!("the run would be {}", planned(plan))],
        Event::TrainStarted { plan, .. } => vec![format!("the run begins: {}", planned(plan))],
        Event::TrainStep { step, .. } => trained(step, app).into_iter().collect(),
        Event::TrainValidated { step, eval_loss, best, .. } => {
            let best = if *best { ", the best so far" } else { "" };
            vec![format!("step {step}: held-out loss {}{best}", number(*eval_loss))]
        }
        Event::TrainSaved { step, path, .. } => vec![format!("step {step} is saved to {}", path.display())],
        Event::TrainPaused { paused, .. } => {
            vec![(if *paused { "the run pauses" } else { "the run goes on" }).to_owned()]
        }
        Event::TrainFrame { frame, .. } => vec![watched(frame)],
        Event::TrainDone { outcome, .. } => vec![ended(outcome)],
        Event::PullDone { name, path, .. } => vec![format!("{name} is in {}", path.display())],
        Event::Note { sentence, .. } => vec![sentence.clone()],
        Event::Failed { message, .. } => vec![format!("failed: {message}")],
        Event::Cancelled { .. } => vec!["cancelled".into()],
        _ => Vec::new(),
    }
}

fn tops(list: &[TokenP]) -> String {
    let one = |t: &TokenP| format!("\"{}\" {}", token(&t.text, false), number(f64::from(t.p)));
    list.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ")
}

/// What the last layer says, and since when.
fn lens(run: &LensRun) -> String {
    let Some(last) = run.layers.last() else { return "no layer was read".into() };
    let since =
        run.first_final_top1.map_or(String::new(), |k| format!("; the first of these from layer {k} on"));
    let curves = last.curves.map_or(String::new(), |c| {
        let [en, target] = [c.en, c.target].map(|p| number(f64::from(p)));
        format!("; English label {en}, target label {target}")
    });
    format!("the output is {}{since}{curves}", tops(&last.top))
}

/// Where the English labels are most likely, and what is likely at the end.
fn curves(run: &CurvesRun) -> String {
    let means = means(run);
    let Some((last, most)) = means.last().zip(means.iter().max_by(|a, b| a.en.mean.total_cmp(&b.en.mean)))
    else {
        return "no items".into();
    };
    let [top, en, target] = [most.en.mean, last.en.mean, last.target.mean].map(|p| number(f64::from(p)));
    format!(
        "over {} items English labels are most likely at layer {} ({top}); at the output English {en}, target {target}",
        run.items.len(),
        most.layer
    )
}

/// The layer at which the languages lie closest, a run a line.
fn pca(answer: &PcaAnswer, name: &dyn Fn(RunId) -> String) -> Vec<String> {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let all: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    };
    let run = |r: &crate::engine::protocol::PcaRun| {
        let means = r.layers.iter().filter_map(|l| Some((l.layer, mean(&mut l.pearson.values().copied())?)));
        let best = means.max_by(|a, b| a.1.total_cmp(&b.1));
        let best = best.map_or(String::new(), |(layer, v)| {
            format!("; Pearson r, the mean of all pairs, is highest at layer {layer}: {}", number(v))
        });
        format!("PCA over {} ({} items each), {}{best}", answer.langs.join(" "), answer.n, name(r.run))
    };
    answer.runs.iter().map(run).collect()
}

/// A run's accuracies, a run a line.
fn accuracies(app: &App) -> Vec<String> {
    let Some(table) = &app.eval.table else { return Vec::new() };
    let summary = crate::eval::outline(table);
    let line = |(r, run): (usize, &RunId)| {
        let langs = table.plan.langs.iter().enumerate().filter_map(|(l, lang)| {
            let s = summary.runs.get(r)?.languages.get(l)?.as_ref()?;
            Some(format!("{} {:.1} %", lang.lang, 100.0 * s.accuracy()))
        });
        let langs: Vec<String> = langs.collect();
        (!langs.is_empty()).then(|| format!("accuracy, {}: {}", app.shared.run_name(*run), langs.join(", ")))
    };
    table.runs.iter().enumerate().filter_map(line).collect()
}

fn planned(plan: &TrainPlan) -> String {
    let s = &plan.settings;
    format!(
        "{} samples, {} held out; {} steps of {}, rate {}; rank {}, {} numbers; seed {}",
        plan.samples,
        plan.held_out,
        plan.total_steps,
        s.batch_size,
        number(s.lr),
        s.rank,
        plan.parameters,
        s.seed
    )
}

/// Some of the steps: the first, and every tenth of the run.
fn trained(step: &TrainStep, app: &App) -> Option<String> {
    let plan = app.training.run.as_ref().and_then(|r| r.plan.as_ref());
    let total = plan.map_or(0, |p| p.total_steps);
    let every = (total / STEPS).max(1);
    (step.step == 1 || step.step.is_multiple_of(every)).then(|| {
        let of = if total > 0 { format!(" of {total}") } else { String::new() };
        format!("step {}{of}: loss {}, rate {}", step.step, number(step.loss), number(step.lr))
    })
}

fn watched(frame: &TrainFrame) -> String {
    let when = if frame.base { "the base model".to_owned() } else { format!("step {}", frame.step) };
    let lens = frame.lens.as_ref().and_then(|a| a.runs.first()).map(lens);
    let pca = frame.pca.as_ref().map(|a| pca(a, &|_| "as it is".into()).join("; "));
    let said: Vec<String> = lens.into_iter().chain(pca).collect();
    format!("watched, {when}: {}", said.join("; "))
}

fn ended(outcome: &TrainOutcome) -> String {
    let how = match outcome.end {
        TrainEnd::Finished => "the run is finished",
        TrainEnd::Early => "the run ended early: the held-out loss did not get better any more",
        TrainEnd::Stopped => "the run was stopped and its adapter saved",
        TrainEnd::Discarded => "the run was stopped and discarded",
    };
    let loss = outcome.loss.map_or(String::new(), |l| format!(", loss {}", number(l)));
    let best = outcome
        .best
        .map_or(String::new(), |(s, l)| format!(", best held-out loss {} at step {s}", number(l)));
    format!(
        "{how}: {} of {} steps in {}{loss}{best}, at most {} of memory",
        outcome.steps,
        outcome.total_steps,
        ms(outcome.elapsed_s * 1000.0),
        bytes(outcome.peak_memory_bytes)
    )
}

fn ms(ms: f64) -> String {
    duration(Duration::from_millis(if ms.is_finite() && ms > 0.0 { ms as u64 } else { 0 }))
}
