//! Whether what stands on a line can be: sizes, indices and numbers that no engine would say are refused before they
//! reach the interface, in a few words that the line's number is put before.

use crate::engine::protocol::*;

/// More than that cannot be counted in a JSON number.
const COUNT: u64 = 1 << 53;
/// More blocks has no model.
const LAYERS: usize = 1024;
/// More steps makes no run.
const STEPS: u64 = 1_000_000_000_000;
/// Positions, items, rows: more fit into no line.
const PLACES: usize = 10_000_000;
/// Adapters that can be loaded in one go.
const RUNS: usize = 10_000;
/// Bytes of a sentence, a name or a path.
const TEXT: usize = 64 << 10;
/// Bytes of a token's text.
const TOKEN: usize = 4096;
/// Bytes of a prompt.
const PROMPT: usize = 4 << 20;
/// Seconds or milliseconds: more than a lifetime.
const LONG: f64 = 1e12;

/// A larger terminal is none.
const CELLS: u16 = 4096;

/// Nothing wrong, or what is.
pub type Sane = Result<(), String>;

/// What is known when a line is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// L of the model in use, once there is one.
    pub layers: Option<usize>,
}

fn refuse(ok: bool, why: impl FnOnce() -> String) -> Sane {
    if ok { Ok(()) } else { Err(why()) }
}

/// A count (of bytes, tokens, steps ...) that can be.
///
/// # Errors
/// It is larger than 2^53.
pub fn count(what: &str, n: u64) -> Sane {
    refuse(n <= COUNT, || format!("{what} {n} is more than can be"))
}

/// A text that is shown in a line or a message.
///
/// # Errors
/// It has more than 64 KiB.
pub fn text(what: &str, text: &str) -> Sane {
    refuse(text.len() <= TEXT, || format!("{what} has {} kB of text", text.len() >> 10))
}

/// A terminal's size, in cells.
///
/// # Errors
/// No terminal is so large.
pub fn size(width: u16, height: u16) -> Sane {
    refuse(width <= CELLS && height <= CELLS, || {
        format!("a screen of {width}x{height} cells is larger than any ({CELLS}x{CELLS})")
    })
}

/// A number within bounds, or NaN: no value.
fn within(what: &str, value: f64, low: f64, high: f64) -> Sane {
    refuse(value.is_nan() || (low..=high).contains(&value), || format!("{what} {value} is out of range"))
}

fn place(what: &str, n: usize, most: usize) -> Sane {
    refuse(n <= most, || format!("{what} {n} is more than can be"))
}

fn p(what: &str, value: f32) -> Sane {
    // Sums of many probabilities are a little more than one at times.
    within(what, f64::from(value), 0.0, 1.01)
}

fn steps(n: u64) -> Sane {
    refuse(n <= STEPS, || format!("step {n} is more than any run has"))
}

fn seconds(what: &str, value: f64) -> Sane {
    within(what, value, 0.0, LONG)
}

fn run(run: RunId) -> Sane {
    refuse(run.is_none_or(|r| r < RUNS), || format!("there is no adapter {}", run.unwrap_or_default()))
}

fn all<'a, T: 'a>(of: impl IntoIterator<Item = &'a T>, check: impl Fn(&'a T) -> Sane) -> Sane {
    of.into_iter().try_for_each(check)
}

impl Known {
    fn layer(&self, k: usize) -> Sane {
        let model = |l| format!("layer {k} is not one of this model's {}", l + 1);
        match self.layers {
            Some(l) => refuse(k <= l, || model(l)),
            None => refuse(k <= LAYERS, || format!("there is no model with a layer {k}")),
        }
    }

    /// An engine's answer.
    ///
    /// # Errors
    /// What in it cannot be.
    pub fn event(&self, event: &Event) -> Sane {
        match event {
            Event::Progress { job, stage, done, total, unit } => {
                text("the stage", stage).and_then(|()| text("the unit", unit))?;
                count("job", *job).and_then(|()| count("count", *done)).and_then(|()| count("count", *total))
            }
            Event::ModelLoaded { job, info } => count("job", *job).and_then(|()| model(info)),
            Event::AdapterLoaded { job, index, info } => {
                count("job", *job).and_then(|()| run(Some(*index))).and_then(|()| self.adapter(info))
            }
            Event::LensStarted { job, tokens, sets: s, .. } => {
                count("job", *job).and_then(|()| texts(tokens)).and_then(|()| sets(s))
            }
            Event::LensLayers { job, run: r, layers } => {
                count("job", *job).and_then(|()| run(*r))?;
                all(layers, |l| self.lens_layer(l))
            }
            Event::LensDone { job, answer } => count("job", *job).and_then(|()| self.lens(answer)),
            Event::GridColumn { job, run: r, position, cells } => {
                count("job", *job)
                    .and_then(|()| run(*r))
                    .and_then(|()| place("position", *position, PLACES))?;
                let most = self.layers.unwrap_or(LAYERS) + 1;
                refuse(cells.len() <= most && (self.layers.is_none() || cells.len() == most), || {
                    format!(
                        "a column of {} cells is not one of this model's, with {most} layers",
                        cells.len()
                    )
                })?;
                all(cells, |c| token(&c.token).and_then(|()| entropy(c.entropy_bits)))
            }
            Event::CellReady { job, run: r, detail: d } => {
                count("job", *job)
                    .and_then(|()| run(*r))
                    .and_then(|()| place("position", d.position, PLACES))?;
                self.layer(d.layer).and_then(|()| entropy(d.entropy_bits))?;
                [&d.residual, &d.after_attention, &d.mlp_output].into_iter().try_for_each(|l| all(l, token))
            }
            Event::CurvesReady { job, answer, .. } => count("job", *job).and_then(|()| self.curves(answer)),
            Event::PcaReady { job, answer, .. } => count("job", *job).and_then(|()| self.pca(answer)),
            Event::EvalStarted { job, sets } => {
                count("job", *job)?;
                all(sets, |s| {
                    all(&s.sets, token_set).and_then(|()| all(&s.warnings, |w| text("a warning", w)))
                })
            }
            Event::EvalRecords { job, records, .. } => count("job", *job).and_then(|()| all(records, record)),
            Event::EvalDone { job, elapsed_ms } => {
                count("job", *job).and_then(|()| seconds("the time", *elapsed_ms))
            }
            Event::PullDone { job, name, .. } => count("job", *job).and_then(|()| text("the name", name)),
            Event::Note { job, sentence: s } | Event::Failed { job, message: s } => {
                count("job", *job).and_then(|()| text("the sentence", s))
            }
            Event::Cancelled { job } => count("job", *job),
            training => self.training(training),
        }
    }

    fn training(&self, event: &Event) -> Sane {
        match event {
            Event::TrainPlanned { job, plan } | Event::TrainStarted { job, plan } => {
                count("job", *job).and_then(|()| train_plan(plan))
            }
            Event::TrainStep { job, step } => count("job", *job).and_then(|()| train_step(step)),
            Event::TrainValidated { job, step, eval_loss, .. } => {
                count("job", *job).and_then(|()| steps(*step))?;
                within("the loss", *eval_loss, -LONG, LONG)
            }
            Event::TrainSaved { job, step, .. } => count("job", *job).and_then(|()| steps(*step)),
            Event::TrainPaused { job, .. } => count("job", *job),
            Event::TrainFrame { job, frame } => {
                count("job", *job).and_then(|()| steps(frame.step))?;
                seconds("the frame's time", frame.elapsed_ms)?;
                frame.lens.as_ref().map_or(Ok(()), |l| self.lens(l))?;
                frame.pca.as_ref().map_or(Ok(()), |p| self.pca(p))
            }
            Event::TrainDone { job, outcome: o } => {
                count("job", *job).and_then(|()| steps(o.steps)).and_then(|()| steps(o.total_steps))?;
                steps(o.best.map_or(0, |b| b.0)).and_then(|()| seconds("the run's time", o.elapsed_s))?;
                count("memory", o.peak_memory_bytes)
            }
            _ => Ok(()),
        }
    }

    /// A question to the engine.
    ///
    /// # Errors
    /// What in it cannot be.
    pub fn command(&self, command: &Command) -> Sane {
        match command {
            Command::LoadModel { job, model: name, .. }
            | Command::LoadAdapter { job, adapter: name }
            | Command::Pull { job, name } => count("job", *job).and_then(|()| text("the name", name)),
            Command::DropAdapter { index } => run(Some(*index)),
            Command::Lens { job, query: q, runs, top } => {
                count("job", *job)
                    .and_then(|()| query(q))
                    .and_then(|()| place("a top list of", *top, PLACES))?;
                all(runs, |r| run(*r))
            }
            Command::Grid { job, query: q, run: r, from, to } => {
                count("job", *job).and_then(|()| query(q)).and_then(|()| run(*r))?;
                place("position", *from.max(to), PLACES)
            }
            Command::Cell { job, query: q, run: r, layer, position, top } => {
                count("job", *job).and_then(|()| query(q)).and_then(|()| run(*r))?;
                self.layer(*layer)?;
                place("position", *position, PLACES).and_then(|()| place("a top list of", *top, PLACES))
            }
            Command::Curves { job, request } => {
                count("job", *job).and_then(|()| all(&request.runs, |r| run(*r)))?;
                all(&request.items, |i| place("item", i.index, PLACES).and_then(|()| query(&i.query)))
            }
            Command::Pca { job, request } => count("job", *job).and_then(|()| self.pca_request(request)),
            Command::Eval { job, request } => {
                count("job", *job).and_then(|()| all(&request.runs, |r| run(*r)))?;
                eval_plan(&request.plan)
            }
            Command::TrainPlan { job, request } | Command::Train { job, request } => {
                count("job", *job)?;
                request.watch.as_ref().map_or(Ok(()), |w| self.watch(w))
            }
            Command::TrainWatch { job, watch } => {
                count("job", *job)?;
                watch.as_ref().map_or(Ok(()), |w| self.watch(w))
            }
            Command::TrainControl { job, .. } | Command::Cancel { job } => count("job", *job),
            Command::Shutdown => Ok(()),
        }
    }

    fn watch(&self, watch: &Watch) -> Sane {
        steps(watch.every).and_then(|()| place("a top list of", watch.top, PLACES))?;
        watch.query.as_ref().map_or(Ok(()), query)?;
        watch.pca.as_ref().map_or(Ok(()), |p| self.pca_request(p))
    }

    fn pca_request(&self, request: &PcaRequest) -> Sane {
        all(&request.runs, |r| run(*r)).and_then(|()| all(&request.layers, |k| self.layer(*k)))?;
        all(&request.items, |(_, items)| all(items, |i| place("item", i.index, PLACES)))
    }

    fn adapter(&self, info: &AdapterInfo) -> Sane {
        text("the adapter's name", &info.name).and_then(|()| place("rank", info.rank, PLACES))?;
        place("tensors", info.keys_matched, PLACES)?;
        let blocks = self.layers.unwrap_or(LAYERS);
        refuse(info.delta_norms.len() <= blocks, || {
            format!("an adapter of {} blocks is none for this model's {blocks}", info.delta_norms.len())
        })
    }

    fn lens_layer(&self, l: &LensLayer) -> Sane {
        self.layer(l.layer).and_then(|()| entropy(l.entropy_bits)).and_then(|()| all(&l.top, token))?;
        within("the divergence", f64::from(l.kl_bits.unwrap_or(0.0)), -1.0, 1e6)?;
        all(&l.tracked, |v| p("the probability", *v))?;
        if let Some(c) = &l.curves {
            let all = [c.en, c.target, c.all_possible_latent, c.all_possible_out];
            all.iter().try_for_each(|v| p("the probability", *v))?;
        }
        within("the energy", f64::from(l.energy.unwrap_or(0.0)), -1e6, 1e6)
    }

    fn lens(&self, answer: &LensAnswer) -> Sane {
        texts(&answer.tokens).and_then(|()| sets(&answer.sets))?;
        seconds("the time", answer.elapsed_ms)?;
        all(&answer.runs, |r| {
            run(r.run).and_then(|()| self.layer(r.first_final_top1.unwrap_or(0)))?;
            for (k, layer) in r.layers.iter().enumerate() {
                self.lens_layer(layer)?;
                refuse(layer.layer == k, || {
                    format!("layer {} stands in the place of layer {k}", layer.layer)
                })?;
            }
            Ok(())
        })
    }

    fn curves(&self, answer: &CurvesAnswer) -> Sane {
        place("items", answer.n, PLACES).and_then(|()| seconds("the time", answer.elapsed_ms))?;
        sets(&answer.sets)?;
        all(&answer.runs, |r| {
            run(r.run)?;
            all(&r.items, |item| {
                place("item", item.index, PLACES)?;
                all(&item.layers, |l| {
                    self.layer(l.layer).and_then(|()| entropy(l.entropy_bits))?;
                    let c = &l.curves;
                    let all = [c.en, c.target, c.all_possible_latent, c.all_possible_out];
                    all.iter().try_for_each(|v| p("the probability", *v))
                })
            })
        })
    }

    fn pca(&self, answer: &PcaAnswer) -> Sane {
        place("items", answer.n, PLACES).and_then(|()| seconds("the time", answer.elapsed_ms))?;
        all(&answer.langs, |l| text("a language's code", l))?;
        all(&answer.runs, |r| {
            run(r.run)?;
            let ascending = r.layers.windows(2).all(|w| w[0].layer < w[1].layer);
            refuse(ascending, || "the layers of a PCA are not in their order".into())?;
            all(&r.layers, |l| self.pca_layer(l, answer))
        })
    }

    fn pca_layer(&self, l: &PcaLayer, answer: &PcaAnswer) -> Sane {
        self.layer(l.layer)?;
        for (lang, points) in &l.points {
            refuse(answer.langs.contains(lang), || "a language is in the plane and not in the list".into())?;
            refuse(points.len() == answer.n, || {
                format!("{} points of {lang} where there are {} items", points.len(), answer.n)
            })?;
            all(points.iter().flatten(), |v| within("the coordinate", *v, -LONG, LONG))?;
        }
        all(&l.explained_variance_ratio, |v| within("the share", *v, -0.01, 1.01))?;
        all(l.pearson.values(), |v| within("the correlation", *v, -1.01, 1.01))?;
        let measures = l.cka.values().chain(l.cosine_gap.values()).chain(l.mexa.values());
        measures
            .flat_map(|m| [m.value, m.low, m.high, m.shuffled])
            .try_for_each(|v| within("the measure", v, -1e6, 1e6))
    }
}

fn token(t: &TokenP) -> Sane {
    place("a token's text of", t.text.len(), TOKEN).and_then(|()| p("the probability", t.p))
}

fn texts(tokens: &[TokenText]) -> Sane {
    all(tokens, |t| place("a token's text of", t.text.len(), TOKEN))
}

fn entropy(bits: f32) -> Sane {
    within("the entropy", f64::from(bits), -1.0, 1e6)
}

fn token_set(set: &TokenSet) -> Sane {
    text("a word", &set.word).and_then(|()| texts(&set.removed))
}

fn sets(s: &TokenSets) -> Sane {
    let labels = s.labels.len();
    for of in [&s.latent, &s.target] {
        refuse(of.is_empty() || of.len() == labels, || {
            format!("{} token sets for {labels} labels", of.len())
        })?;
        all(of, token_set)?;
    }
    refuse(s.gold == 0 || s.gold < labels, || format!("label {} is not one of {labels}", s.gold))?;
    all(&s.tracked, token_set).and_then(|()| all(&s.warnings, |w| text("a warning", w)))
}

fn query(q: &Query) -> Sane {
    place("a prompt of", q.prefix.len().max(q.text.len()), PROMPT)?;
    let Some(c) = &q.comparison else { return Ok(()) };
    let labels = c.labels.len();
    refuse(c.english.len() == labels && c.target.len() == labels, || {
        format!("{} and {} words for {labels} labels", c.english.len(), c.target.len())
    })?;
    refuse(c.gold == 0 || c.gold < labels, || format!("label {} is not one of {labels}", c.gold))
}

fn record(r: &EvalRecord) -> Sane {
    run(r.run)
        .and_then(|()| place("language", r.lang, PLACES))
        .and_then(|()| place("slot", r.slot, PLACES))?;
    all(&r.p, |v| p("the probability", *v))?;
    all(&r.loglik, |l| within("the log-likelihood", l.sum, -LONG, 1.0))
}

fn eval_plan(plan: &EvalPlan) -> Sane {
    let labels = plan.labels.len();
    all(&plan.langs, |l| {
        refuse(l.words.len() == labels, || format!("{} words for {labels} labels", l.words.len()))?;
        all(&l.items, |i| {
            place("item", i.index, PLACES)?;
            refuse(i.gold < labels, || format!("label {} is not one of {labels}", i.gold))?;
            refuse(i.values.len() == plan.fields.len(), || {
                format!("{} values for {} fields", i.values.len(), plan.fields.len())
            })
        })
    })
}

fn model(info: &ModelInfo) -> Sane {
    refuse((1..=LAYERS).contains(&info.layers), || format!("there is no model of {} layers", info.layers))?;
    place("width", info.hidden, PLACES).and_then(|()| place("vocabulary", info.vocabulary, PLACES * 10))?;
    count("bytes", info.weight_bytes).and_then(|()| text("the model's name", &info.name))?;
    all(&info.notes, |n| text("a note", n))
}

fn train_plan(plan: &TrainPlan) -> Sane {
    [plan.total_steps, plan.done_steps, plan.steps_per_epoch, plan.warmup_steps]
        .into_iter()
        .try_for_each(steps)?;
    [plan.tokens, plan.answer_tokens, plan.memory_bytes].into_iter().try_for_each(|n| count("count", n))?;
    [plan.samples, plan.held_out, plan.longest, plan.cut, plan.parameters]
        .into_iter()
        .chain(plan.sources.iter().map(|s| s.1))
        .try_for_each(|n| count("count", n as u64))?;
    seconds("the time", plan.estimate_s.unwrap_or(0.0))
}

fn train_step(s: &TrainStep) -> Sane {
    steps(s.step)?;
    for n in [s.tokens, s.total_tokens, s.memory_bytes, s.peak_memory_bytes] {
        count("count", n)?;
    }
    for v in [s.epoch, s.tokens_per_s, s.elapsed_s, s.remaining_s] {
        seconds("the time or rate", v)?;
    }
    within("the rate", s.lr, -1e6, 1e6)?;
    within("the loss", s.loss, -LONG, LONG).and_then(|()| within("the gradient", s.grad_norm, -1e300, 1e300))
}
