//! Differences between what a recording says and what is computed anew: counted, and the largest remembered.

use crate::engine::protocol::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// Smaller values than this are compared as if they were this large.
const SMALL: f64 = 0.05;

/// What a difference may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// Of a probability.
    pub absolute: f64,
    /// Of any other number, as a share of it; of a point, as a share of its layer's range.
    pub relative: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { absolute: 1e-3, relative: 1e-2 }
    }
}

/// The largest difference of a kind, measured in tolerances.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Worst {
    /// The line in the file.
    pub line: u32,
    /// Which number: "base, layer 17, entropy".
    pub place: String,
    pub recorded: f64,
    pub computed: f64,
    /// Absolute for a probability, else relative.
    pub difference: f64,
    /// In tolerances: beyond 1 the answer is not confirmed.
    pub of_tolerance: f64,
}

/// Answers of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    pub answers: u64,
    pub numbers: u64,
    /// Numbers beyond the tolerance.
    pub beyond: u64,
    pub worst: Option<Worst>,
    /// What does not fit at all: other tokens, other layers.
    pub mismatches: Vec<String>,
}

impl Tally {
    /// Whether everything compared is within the tolerance.
    pub fn passed(&self) -> bool {
        self.beyond == 0 && self.mismatches.is_empty()
    }
}

/// Compares the numbers of one line.
pub struct Compare<'a> {
    pub tally: &'a mut Tally,
    pub tolerance: Tolerance,
    pub line: u32,
}

impl Compare<'_> {
    fn number(&mut self, place: &dyn Fn() -> String, was: f64, is: f64, difference: f64, allowed: f64) {
        self.tally.numbers += 1;
        // NaN means no value, on both sides or on none.
        let same = was == is || (was.is_nan() && is.is_nan());
        let (difference, of_tolerance) = match same {
            true => (0.0, 0.0),
            false if difference.is_nan() => (f64::INFINITY, f64::INFINITY),
            false => (difference, difference / allowed),
        };
        self.tally.beyond += u64::from(of_tolerance > 1.0);
        if self.tally.worst.as_ref().is_none_or(|w| of_tolerance > w.of_tolerance) {
            let (line, place) = (self.line, place());
            let worst = Worst { line, place, recorded: was, computed: is, difference, of_tolerance };
            self.tally.worst = Some(worst);
        }
    }

    /// A probability.
    pub fn p(&mut self, place: &dyn Fn() -> String, was: f32, is: f32) {
        let (was, is) = (f64::from(was), f64::from(is));
        self.number(place, was, is, (was - is).abs(), self.tolerance.absolute);
    }

    /// Any other number.
    pub fn value(&mut self, place: &dyn Fn() -> String, was: f64, is: f64) {
        let size = was.abs().max(is.abs()).max(SMALL);
        self.number(place, was, is, (was - is).abs() / size, self.tolerance.relative);
    }

    /// What should be the same altogether.
    pub fn same(&mut self, ok: bool, what: impl FnOnce() -> String) -> bool {
        // The first few say it; a foreign file has thousands.
        if !ok && self.tally.mismatches.len() < 5 {
            self.tally.mismatches.push(format!("line {}: {}", self.line, what()));
        }
        if !ok {
            self.tally.beyond += 1;
        }
        ok
    }

    /// Two top lists, by token: one that stands in a single list had at most the other's smallest probability there.
    pub fn top(&mut self, place: &dyn Fn() -> String, was: &[TokenP], is: &[TokenP]) {
        let by_id = |list: &[TokenP]| list.iter().map(|t| (t.id, t.p)).collect::<BTreeMap<u32, f32>>();
        let least = |list: &[TokenP]| list.iter().map(|t| t.p).fold(f32::INFINITY, f32::min).min(1.0);
        let (there, here) = (by_id(was), by_id(is));
        for token in was {
            let place = || format!("{}, token {:?}", place(), token.text);
            let p = here.get(&token.id).copied().unwrap_or(token.p.min(least(is)));
            self.p(&place, token.p, p);
        }
        for token in is.iter().take(was.len()).filter(|t| !there.contains_key(&t.id)) {
            let place = || format!("{}, token {:?}", place(), token.text);
            self.p(&place, token.p.min(least(was)), token.p);
        }
    }

    /// One layer's readout.
    pub fn layer(&mut self, run: &str, was: &LensLayer, is: &LensLayer) {
        let at = |what: &str| format!("{run}, layer {}, {what}", was.layer);
        self.value(&|| at("entropy"), f64::from(was.entropy_bits), f64::from(is.entropy_bits));
        if let (Some(a), Some(b)) = (was.kl_bits, is.kl_bits) {
            self.value(&|| at("KL"), f64::from(a), f64::from(b));
        }
        if let (Some(a), Some(b)) = (was.energy, is.energy) {
            self.value(&|| at("energy"), f64::from(a), f64::from(b));
        }
        if let (Some(a), Some(b)) = (was.gold_rank, is.gold_rank) {
            // Far down in the vocabulary a rank hangs on the last digits; near the top it may be off by one.
            self.value(&|| at("rank of the gold answer"), f64::from(a) + 100.0, f64::from(b) + 100.0);
        }
        self.top(&|| at("top list"), &was.top, &is.top);
        for (i, (a, b)) in was.tracked.iter().zip(&is.tracked).enumerate() {
            self.p(&|| at(&format!("tracked word {}", i + 1)), *a, *b);
        }
        if self.same(was.curves.is_some() == is.curves.is_some(), || at("curves"))
            && let (Some(a), Some(b)) = (&was.curves, &is.curves)
        {
            self.curves(&|| at("curve"), a, b);
        }
    }

    /// The four curves at a layer.
    pub fn curves(&mut self, place: &dyn Fn() -> String, a: &Curves, b: &Curves) {
        let pairs = [
            ("en", a.en, b.en),
            ("target", a.target, b.target),
            ("all possible latent", a.all_possible_latent, b.all_possible_latent),
            ("all possible out", a.all_possible_out, b.all_possible_out),
        ];
        for (name, was, is) in pairs {
            self.p(&|| format!("{} {name}", place()), was, is);
        }
    }

    /// The curves of many items.
    pub fn means(&mut self, name: &dyn Fn(RunId) -> String, was: &CurvesAnswer, is: &CurvesAnswer) {
        for (a, b) in was.runs.iter().zip(&is.runs) {
            let run = name(a.run);
            if !self.same(a.items.len() == b.items.len(), || format!("{run} has other items")) {
                continue;
            }
            for (a, b) in a.items.iter().zip(&b.items) {
                self.same(a.layers.len() == b.layers.len(), || {
                    format!("{run}, item {}: layers", a.index + 1)
                });
                for (p, q) in a.layers.iter().zip(&b.layers) {
                    let at = |what: &str| format!("{run}, item {}, layer {}, {what}", a.index + 1, p.layer);
                    self.curves(&|| at("curve"), &p.curves, &q.curves);
                    self.value(&|| at("entropy"), f64::from(p.entropy_bits), f64::from(q.entropy_bits));
                }
            }
        }
    }

    /// A whole readout. `name` names the file's runs.
    pub fn lens(&mut self, name: &dyn Fn(RunId) -> String, was: &LensAnswer, is: &LensAnswer) {
        let ids = |a: &LensAnswer| a.tokens.iter().map(|t| t.id).collect::<Vec<_>>();
        if !self.same(ids(was) == ids(is), || "the prompt has other tokens".into()) {
            return;
        }
        let sets = |a: &LensAnswer| {
            let all = a.sets.latent.iter().chain(&a.sets.target).chain(&a.sets.tracked);
            all.map(|s| s.ids.clone()).collect::<Vec<_>>()
        };
        self.same(sets(was) == sets(is), || "the words have other token sets".into());
        for (a, b) in was.runs.iter().zip(&is.runs) {
            let run = name(a.run);
            if self.same(a.layers.len() == b.layers.len(), || format!("{run} has other layers")) {
                a.layers.iter().zip(&b.layers).for_each(|(a, b)| self.layer(&run, a, b));
            }
        }
    }

    /// A training's frame.
    pub fn frame(&mut self, name: &dyn Fn(RunId) -> String, was: &TrainFrame, is: &TrainFrame) {
        if let (Some(a), Some(b)) = (&was.lens, &is.lens) {
            self.lens(name, a, b);
        }
        if let (Some(a), Some(b)) = (&was.pca, &is.pca) {
            self.pca(name, a, b);
        }
    }

    /// A whole PCA, run by run.
    pub fn pca(&mut self, name: &dyn Fn(RunId) -> String, was: &PcaAnswer, is: &PcaAnswer) {
        self.same(was.langs == is.langs && was.n == is.n, || "other languages or items".into());
        for (a, b) in was.runs.iter().zip(&is.runs) {
            let run = name(a.run);
            let layers = |r: &PcaRun| r.layers.iter().map(|l| l.layer).collect::<Vec<_>>();
            if self.same(layers(a) == layers(b), || format!("{run} has other layers")) {
                a.layers.iter().zip(&b.layers).for_each(|(a, b)| self.pca_layer(&run, a, b));
            }
        }
    }

    fn pca_layer(&mut self, run: &str, was: &PcaLayer, is: &PcaLayer) {
        let at = |what: &str| format!("{run}, layer {}, {what}", was.layer);
        let ratios = was.explained_variance_ratio.iter().zip(&is.explained_variance_ratio);
        ratios.for_each(|(a, b)| self.value(&|| at("explained variance"), *a, *b));
        let all = is.points.values().flatten().flatten().copied();
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let range = (high - low).max(f64::MIN_POSITIVE);
        // Points that a long recording has left out are not there to be compared.
        for (lang, points) in &was.points {
            let there = is.points.get(lang).map_or(&[][..], Vec::as_slice);
            if !self.same(points.len() == there.len(), || at(&format!("points of {lang}"))) {
                continue;
            }
            for (i, (a, b)) in points.iter().flatten().zip(there.iter().flatten()).enumerate() {
                let place = || at(&format!("{lang}, item {}", i / 2 + 1));
                self.number(&place, *a, *b, (a - b).abs() / range, self.tolerance.relative);
            }
        }
        for (pair, a) in &was.pearson {
            self.value(
                &|| at(&format!("Pearson {pair}")),
                *a,
                is.pearson.get(pair).copied().unwrap_or(f64::NAN),
            );
        }
        for measure in Alignment::WITH_INTERVALS {
            for (pair, a) in measure.measures(was).into_iter().flatten() {
                let b = measure.of(is, pair).unwrap_or(Measure { value: f64::NAN, ..Measure::default() });
                let place = |part: &str| at(&format!("{} {pair}{part}", measure.name()));
                self.value(&|| place(""), a.value, b.value);
                self.value(&|| place(" low"), a.low, b.low);
                self.value(&|| place(" high"), a.high, b.high);
                self.value(&|| place(" shuffled"), a.shuffled, b.shuffled);
            }
        }
    }
}
