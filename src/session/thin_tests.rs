use super::*;

fn progress(job: JobId, stage: &str, done: u64) -> Event {
    Event::Progress { job, stage: stage.into(), done, total: 1000, unit: "items".into() }
}

/// What is written of events at these times.
fn written(events: &[(u64, Event)]) -> Vec<(u64, Event)> {
    let mut thinner = Thinner::default();
    let mut out = Vec::new();
    for (t, event) in events {
        out.extend(thinner.event(*t, event).into_iter().map(|(t, e)| (t, e.into_owned())));
    }
    out.extend(thinner.end());
    assert!(out.windows(2).all(|w| w[0].0 <= w[1].0), "times go back");
    out
}

#[test]
fn progress_is_written_ten_times_a_second_and_the_last_of_it_always() {
    let mut events: Vec<(u64, Event)> = (0..=1000).map(|i| (i * 5, progress(1, "items", i))).collect();
    let out = written(&events);
    assert!((48..=52).contains(&out.len()), "{}", out.len());
    assert_eq!((&out[0], &out[out.len() - 1]), (&events[0], &events[1000]));
    // The end of the job comes after the last of its progress.
    events.truncate(510);
    events.push((2546, Event::Cancelled { job: 1 }));
    let out = written(&events);
    assert_eq!(out[out.len() - 2..], events[509..]);
    // Other jobs and other stages are written at once, and what was held of the stage before.
    let events = [
        (0, progress(1, "a", 0)),
        (1, progress(2, "a", 0)),
        (2, progress(1, "a", 7)),
        (3, progress(1, "b", 0)),
        (4, progress(1, "b", 0)),
    ];
    assert_eq!(written(&events), events[..4]);
}

#[test]
fn what_was_held_is_written_when_something_follows() {
    let mut thinner = Thinner::default();
    thinner.event(0, &progress(1, "a", 0));
    assert!(thinner.event(50, &progress(1, "a", 5)).is_empty());
    assert!(thinner.other(60).is_empty(), "not yet");
    let owed = thinner.other(160);
    assert_eq!(owed, [(60, Cow::Owned(progress(1, "a", 5)))], "not before the line that was written since");
    assert!(thinner.end().is_empty());
}

fn frame(step: u64) -> Event {
    let langs = ["en", "zh", "es", "th"];
    let x = |i: usize, j: usize| ((step + 7) as f64 * (i * 31 + j * 17 + 1) as f64).sin() * 123.456_789_012;
    let layer = |layer: usize| {
        let mut l =
            PcaLayer { layer, explained_variance_ratio: vec![0.312_345_678_9, 0.2], ..PcaLayer::default() };
        for (i, lang) in langs.iter().enumerate() {
            l.points.insert((*lang).into(), (0..20).map(|j| [x(i, j), x(j, i)]).collect());
            for other in &langs[i + 1..] {
                let pair = format!("{lang}-{other}");
                let value = x(i, layer) / 200.0;
                let m = Measure { value, low: value * 0.9, high: value * 1.1, shuffled: 0.123_456_789 };
                l.pearson.insert(pair.clone(), value);
                for map in [&mut l.cka, &mut l.cosine_gap, &mut l.mexa] {
                    map.insert(pair.clone(), m);
                }
            }
        }
        l
    };
    let run = PcaRun { run: Some(0), layers: (0..19).map(layer).collect() };
    let langs = langs.iter().map(|l| (*l).to_owned()).collect();
    let pca = PcaAnswer { langs, n: 20, runs: vec![run], ..PcaAnswer::default() };
    Event::TrainFrame { job: 1, frame: TrainFrame { step, pca: Some(pca), ..TrainFrame::default() } }
}

fn layers(event: &Event) -> &[PcaLayer] {
    let Event::TrainFrame { frame, .. } = event else { panic!("a frame") };
    &frame.pca.as_ref().unwrap().runs[0].layers
}

#[test]
fn frames_keep_their_values_and_the_points_that_are_seen() {
    let (whole, mut thinner) = (frame(3), Thinner::default());
    let out = thinner.event(0, &whole).remove(0).1.into_owned();
    for (a, b) in layers(&whole).iter().zip(layers(&out)) {
        for (lang, points) in &a.points {
            for (p, q) in points.iter().flatten().zip(b.points[lang].iter().flatten()) {
                assert!((p - q).abs() <= 0.05 + 1e-9, "{p} {q}: a range of 247 has 4 digits at 0.1");
            }
        }
        for (pair, m) in &a.cka {
            assert!((m.value - b.cka[pair].value).abs() <= 5e-7 * m.value.abs());
            assert!((m.low - b.cka[pair].low).abs() <= 1e-3 * m.low.abs());
        }
        assert_eq!(b.explained_variance_ratio, [0.312_345_7, 0.2]);
    }
    let longest = serde_json::to_string(&layers(&out)[3].points).unwrap();
    assert!(longest.split([',', '[', ']', ':']).all(|n| n.len() <= 8), "{longest}");
}

#[test]
fn a_long_watched_training_stays_small_and_loses_no_value() {
    let (mut thinner, mut plain, mut bytes) = (Thinner::default(), 0, 0);
    let (mut steps, mut with_points, mut measures) = (Vec::new(), Vec::new(), 0);
    let plan = TrainPlan { total_steps: 10_000, ..TrainPlan::default() };
    thinner.event(0, &Event::TrainStarted { job: 1, plan });
    for n in 1..=10_000_u64 {
        let step =
            TrainStep { step: n, loss: 1.0 / n as f64, elapsed_s: n as f64 * 1.7, ..TrainStep::default() };
        let mut events: Vec<Event> = (0..16)
            .map(|i| Event::Progress {
                job: 1,
                stage: "step".into(),
                done: i,
                total: 16,
                unit: "items".into(),
            })
            .collect();
        events.push(Event::TrainStep { job: 1, step });
        if n % 10 == 0 {
            events.push(frame(n));
        }
        for (i, event) in events.iter().enumerate() {
            plain += serde_json::to_string(event).unwrap().len();
            for (_, out) in thinner.event(n * 300 + i as u64, event) {
                bytes += serde_json::to_string(&*out).unwrap().len() + 20;
                match &*out {
                    Event::TrainStep { step: s, .. } => {
                        assert_eq!(*s, step);
                        steps.push(s.step);
                    }
                    Event::TrainFrame { frame, .. } => {
                        let all = layers(&out);
                        measures +=
                            all.iter().map(|l| l.pearson.len() + l.cka.len() + l.mexa.len()).sum::<usize>();
                        if !all[0].points.is_empty() {
                            with_points.push(frame.step);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(steps.iter().copied().eq(1..=10_000), "every step's numbers are there");
    assert_eq!(measures, 1000 * 19 * 3 * 6, "every frame's values are there");
    assert_eq!(with_points.len(), 200 + 100 + 50 + 50 + 25 + 1);
    assert_eq!(with_points.last(), Some(&10_000), "the last frame has its points");
    // 55 MB as it comes; the values alone are most of what stays.
    assert!(bytes < 64 << 20 && bytes * 2 < plain, "{} of {} kB", bytes >> 10, plain >> 10);
}
