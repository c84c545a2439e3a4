//! The frames of a watched run: in bounded memory, and grouped by what was watched.

use super::watch_digest::Digest;
use crate::engine::protocol::{PcaLayer, TrainFrame};
use std::sync::Arc;

/// Most frames that are kept.
pub const MOST: usize = 400;
/// Most bytes that the kept frames may take, about: twenty languages fill this before [`MOST`] does.
pub const BYTES: usize = 192 << 20;

/// Frames of one query and one set of languages, with the base model's numbers for them.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// What is watched, in a few words.
    pub label: String,
    pub base: Option<Arc<TrainFrame>>,
    /// Of the base's frame.
    pub digest: Digest,
}

/// A frame that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Index of its scene.
    pub scene: usize,
    /// Its number among all frames of the run, from 0: stays when others are left out.
    pub nth: u64,
    pub frame: Arc<TrainFrame>,
    pub digest: Digest,
    bytes: usize,
}

/// All frames of a run, oldest first.
#[derive(Clone, Debug)]
pub struct Frames {
    scenes: Vec<Scene>,
    kept: Vec<Kept>,
    /// Every so many frames are kept, besides the first and the last.
    stride: u64,
    arrived: u64,
    bytes: usize,
    limits: (usize, usize),
}

impl Default for Frames {
    fn default() -> Self {
        Self::with_limits(MOST, BYTES)
    }
}

impl Frames {
    /// No frames yet; at most so many, and so many bytes, will be kept.
    pub fn with_limits(most: usize, bytes: usize) -> Self {
        Self {
            scenes: Vec::new(),
            kept: Vec::new(),
            stride: 1,
            arrived: 0,
            bytes: 0,
            limits: (most.max(2), bytes),
        }
    }

    /// Takes a frame in. The base model's begins a scene named `label`; so does one about something else
    /// than the scene that is running.
    pub fn push(&mut self, mut frame: TrainFrame, label: &str) {
        if let Some(before) = self.kept.last() {
            lend_points(&mut frame, &before.frame);
        }
        let fits = self.scenes.last().is_some_and(|s| match (&s.base, self.kept.last()) {
            (Some(base), _) => !frame.base && same_subject(base, &frame),
            (None, Some(last)) if last.scene + 1 == self.scenes.len() => {
                !frame.base && same_subject(&last.frame, &frame)
            }
            (None, _) => true,
        });
        if !fits {
            self.scenes.push(Scene { label: label.to_owned(), ..Scene::default() });
        }
        let scene = self.scenes.len() - 1;
        let digest = Digest::of(&frame);
        if frame.base {
            self.scenes[scene].digest = digest;
            self.scenes[scene].base = Some(Arc::new(frame));
            return;
        }
        // The last frame is kept while it is the last, whatever the stride.
        if self.kept.len() > 1 && self.kept.last().is_some_and(|l| l.nth % self.stride != 0) {
            self.bytes -= self.kept.pop().map_or(0, |k| k.bytes);
        }
        let bytes = weight(&frame);
        self.bytes += bytes;
        self.kept.push(Kept { scene, nth: self.arrived, frame: Arc::new(frame), digest, bytes });
        self.arrived += 1;
        while self.kept.len() > 2 && (self.kept.len() > self.limits.0 || self.bytes > self.limits.1) {
            self.thin();
        }
    }

    /// Leaves every second frame out; first and last stay.
    fn thin(&mut self) {
        self.stride *= 2;
        let (stride, last) = (self.stride, self.arrived - 1);
        self.kept.retain(|k| k.nth % stride == 0 || k.nth == last);
        self.bytes = self.kept.iter().map(|k| k.bytes).sum();
    }

    /// Forgets frames after a step: a run that is resumed from there computes them anew.
    pub fn cut(&mut self, step: u64) {
        self.kept.retain(|k| k.frame.step <= step);
        self.bytes = self.kept.iter().map(|k| k.bytes).sum();
    }

    /// The kept frames, oldest first.
    pub fn all(&self) -> &[Kept] {
        &self.kept
    }

    /// A scene by its index.
    pub fn scene(&self, index: usize) -> Option<&Scene> {
        self.scenes.get(index)
    }

    /// The scene that the next frame will belong to.
    pub fn last_scene(&self) -> Option<usize> {
        self.scenes.len().checked_sub(1)
    }

    /// Every so many frames are kept: 1 while nothing was left out.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// Frames that came, kept or not.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Index of the kept frame with that number, or of the one before it.
    pub fn find(&self, nth: u64) -> Option<usize> {
        self.kept.partition_point(|k| k.nth <= nth).checked_sub(1)
    }
}

/// Whether two frames are about the same prompt and the same languages and items.
fn same_subject(a: &TrainFrame, b: &TrainFrame) -> bool {
    let lens = match (&a.lens, &b.lens) {
        (Some(a), Some(b)) => a.tokens == b.tokens,
        (a, b) => a.is_none() == b.is_none(),
    };
    let pca = match (&a.pca, &b.pca) {
        (Some(a), Some(b)) => (a.n, a.pooling, &a.langs) == (b.n, b.pooling, &b.langs),
        (a, b) => a.is_none() == b.is_none(),
    };
    lens && pca
}

/// A recording of many frames has not every frame's points, only its values: those of the frame before stand in.
fn lend_points(frame: &mut TrainFrame, before: &TrainFrame) {
    let (Some(now), Some(then)) = (&mut frame.pca, &before.pca) else { return };
    let bare = now.runs.iter().flat_map(|r| &r.layers).all(|l| l.points.is_empty());
    if !bare || now.langs != then.langs || now.n != then.n {
        return;
    }
    for (run, old) in now.runs.iter_mut().zip(&then.runs) {
        for (layer, old) in run.layers.iter_mut().zip(&old.layers).filter(|(a, b)| a.layer == b.layer) {
            layer.points.clone_from(&old.points);
        }
    }
}

/// Bytes that a frame takes, about.
fn weight(frame: &TrainFrame) -> usize {
    // An entry of a map keyed by a pair's name, and one of a top list with its short text.
    const PAIR: usize = 64;
    const TOP: usize = 56;
    let of_pca = |l: &PcaLayer| {
        let points: usize = l.points.values().map(|p| 96 + p.len() * size_of::<[f64; 2]>()).sum();
        let measured = l.cka.len() + l.cosine_gap.len() + l.mexa.len();
        points + l.pearson.len() * PAIR + measured * (PAIR + 24)
    };
    let pca = frame.pca.iter().flat_map(|a| &a.runs).flat_map(|r| &r.layers).map(of_pca).sum::<usize>();
    let lens = frame.lens.iter().flat_map(|a| &a.runs).flat_map(|r| &r.layers);
    let tokens = frame.lens.as_ref().map_or(0, |a| a.tokens.len() * TOP);
    pca + tokens + lens.map(|l| 128 + l.top.len() * TOP).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::{LensAnswer, PcaAnswer, PcaRun, TokenText};

    fn frame(step: u64, prompt: u32) -> TrainFrame {
        let tokens = vec![TokenText { id: prompt, text: "x".into() }];
        TrainFrame {
            step,
            lens: Some(LensAnswer { tokens, ..LensAnswer::default() }),
            ..TrainFrame::default()
        }
    }

    fn base(prompt: u32) -> TrainFrame {
        TrainFrame { base: true, ..frame(0, prompt) }
    }

    fn steps(frames: &Frames) -> Vec<u64> {
        frames.all().iter().map(|k| k.frame.step).collect()
    }

    #[test]
    fn thinning_keeps_first_last_and_base_and_an_even_spacing() {
        let mut frames = Frames::with_limits(8, BYTES);
        frames.push(base(1), "a");
        for i in 0..1000 {
            frames.push(frame(i * 10, 1), "a");
            assert!(frames.all().len() <= 8, "after {i}");
            let steps = steps(&frames);
            assert_eq!((steps[0], steps[steps.len() - 1]), (0, i * 10));
        }
        let kept = steps(&frames);
        let gap = kept[1] - kept[0];
        assert!(kept[..kept.len() - 1].windows(2).all(|w| w[1] - w[0] == gap), "{kept:?}");
        assert_eq!((gap, frames.stride(), frames.arrived()), (frames.stride() * 10, frames.stride(), 1000));
        assert!(frames.scene(0).unwrap().base.is_some());
    }

    #[test]
    fn large_frames_are_thinned_by_their_bytes() {
        let mut big = frame(0, 1);
        let points = vec![[0.0, 0.0]; 1000];
        let layer = PcaLayer { points: [("en".to_owned(), points)].into(), ..PcaLayer::default() };
        big.pca =
            Some(PcaAnswer { runs: vec![PcaRun { run: None, layers: vec![layer] }], ..PcaAnswer::default() });
        let mut frames = Frames::with_limits(MOST, 100_000);
        for step in 0..50 {
            frames.push(TrainFrame { step, ..big.clone() }, "a");
        }
        assert!(frames.all().len() <= 6 && frames.stride() > 4, "{:?}", steps(&frames));
        assert_eq!(steps(&frames).last(), Some(&49));
    }

    #[test]
    fn another_prompt_begins_another_scene_with_its_own_base() {
        let mut frames = Frames::default();
        frames.push(base(1), "one");
        frames.push(frame(0, 1), "one");
        frames.push(base(2), "two");
        frames.push(frame(10, 2), "two");
        // Without a base of its own it is still another scene.
        frames.push(frame(20, 3), "three");
        frames.push(frame(30, 3), "three");
        let scenes: Vec<usize> = frames.all().iter().map(|k| k.scene).collect();
        assert_eq!(scenes, [0, 1, 2, 2]);
        assert_eq!(frames.scene(1).unwrap().label, "two");
        assert!(frames.scene(2).unwrap().base.is_none());
    }

    #[test]
    fn a_frame_without_points_shows_those_before_it() {
        let layer = |points: &[[f64; 2]]| PcaLayer {
            points: points.iter().map(|p| ("en".to_owned(), vec![*p])).collect(),
            ..PcaLayer::default()
        };
        let with = |step: u64, points: &[[f64; 2]]| {
            let run = PcaRun { run: None, layers: vec![layer(points)] };
            TrainFrame {
                step,
                pca: Some(PcaAnswer { runs: vec![run], ..PcaAnswer::default() }),
                ..frame(step, 1)
            }
        };
        let mut frames = Frames::default();
        frames.push(with(1, &[[1.0, 2.0]]), "a");
        frames.push(with(2, &[]), "a");
        frames.push(with(3, &[[3.0, 4.0]]), "a");
        let points = |i: usize| frames.all()[i].frame.pca.as_ref().unwrap().runs[0].layers[0].points["en"][0];
        assert_eq!([points(0), points(1), points(2)], [[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn a_resumed_run_replaces_what_comes_after() {
        let mut frames = Frames::default();
        (0..10).for_each(|i| frames.push(frame(i * 10, 1), "a"));
        frames.cut(50);
        frames.push(frame(60, 1), "a");
        assert_eq!(steps(&frames), [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(frames.find(3), Some(3));
        // Numbers of frames that are gone mean the one before.
        assert_eq!(frames.find(8), Some(5));
    }
}
