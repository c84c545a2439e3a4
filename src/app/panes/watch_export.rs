//! What the watched frames are as text and as JSON.

use super::watch::{WatchState, lens_layer, pca_layer};
use super::watch_digest::mean;
use crate::engine::protocol::TrainFrame;
use serde_json::{Value, json};

/// The shown layer's numbers: a line for the base, one for the shown step.
pub fn text(watch: &WatchState) -> Option<String> {
    let (_, kept) = watch.current()?;
    let layer = watch.layer();
    let of = |name: String, frame: &TrainFrame| {
        let mut cells = vec![name, format!("layer {layer}")];
        if let Some(l) = lens_layer(frame, layer) {
            cells.extend(l.top.first().map(|t| format!("{} {:.4}", t.text, t.p)));
            cells.extend(l.curves.map(|c| format!("en {:.4}\ttarget {:.4}", c.en, c.target)));
            cells.push(format!("H {:.3}", l.entropy_bits));
        }
        let value = pca_layer(frame, layer).and_then(|l| mean(l, watch.measure));
        cells.extend(value.map(|v| format!("mean {} {v:.4}", watch.measure.name())));
        cells.join("\t")
    };
    let base = watch.base().map(|frame| of("base".into(), frame));
    let step = of(format!("step {}", kept.frame.step), &kept.frame);
    Some(base.into_iter().chain([step]).collect::<Vec<_>>().join("\n"))
}

/// All frames that are kept, by what was watched.
pub fn document(watch: &WatchState) -> Option<Value> {
    let run = &watch.run;
    let frames = &run.frames;
    let scenes = (0..).map_while(|i| frames.scene(i).map(|s| (i, s)));
    let scenes: Vec<Value> = scenes
        .map(|(i, scene)| {
            let of: Vec<_> = frames.all().iter().filter(|k| k.scene == i).map(|k| &*k.frame).collect();
            json!({ "watched": scene.label, "base": scene.base.as_deref(), "frames": of })
        })
        .collect();
    if scenes.is_empty() {
        return None;
    }
    Some(json!({
        "schema": "polylens.watch/1", "out": run.out, "step": run.step, "total_steps": run.total,
        "frames_computed": frames.arrived(), "every_nth_frame_kept": frames.stride(), "scenes": scenes,
        "loss": run.loss.raw(false), "eval_loss": run.eval_loss.raw(false),
    }))
}
