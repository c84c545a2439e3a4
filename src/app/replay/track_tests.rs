use super::*;
use crate::app::bundle::Bundle;
use crate::app::testing_sessions::{Recording, header, recordings, taped, train};

fn library() -> Arc<dyn Library> {
    Arc::new(Bundle::with(None).unwrap().0)
}

fn track(recording: &Recording, library: &Arc<dyn Library>) -> Track {
    let file = SessionFile::from_bytes(recording.name, Arc::new(recording.bytes())).unwrap();
    Track::new(Arc::new(file), library.clone())
}

/// The whole state as text.
fn state(track: &Track) -> String {
    format!("{:?}", track.app())
}

#[test]
fn jumps_lead_where_playing_from_the_beginning_does() {
    let library = library();
    for recording in recordings() {
        let mut played = track(&recording, &library);
        let mut states = vec![state(&played)];
        while played.step().unwrap() {
            states.push(state(&played));
        }
        let mut jumping = track(&recording, &library);
        jumping.keyframes = Keyframes::with(4, 1);
        let all = states.len() - 1;
        for i in 0..60 {
            let to = i * 7919 % (all + 1);
            jumping.seek_line(to).unwrap();
            assert!(state(&jumping) == states[to], "{}: line {to} in jump {i}", recording.name);
            assert!(jumping.keyframes.places().len() <= 4);
        }
        assert!(jumping.keyframes.places().len() > 1, "{}", recording.name);
    }
}

#[test]
fn an_index_is_made_ahead_without_moving_and_is_shared() {
    let (library, all) = (library(), recordings());
    let recording = all.iter().find(|r| r.name == "training").unwrap();
    let mut track = track(recording, &library);
    track.keyframes = Keyframes::with(8, 1);
    track.seek_line(5).unwrap();
    let (here, before) = (state(&track), track.clone());
    let mut rounds = 0;
    while track.index_some(3) {
        rounds += 1;
        assert!(track.indexed() <= 1.0 && rounds < 1000);
    }
    assert!(state(&track) == here && track.taken() == 5);
    assert_eq!(track.indexed(), 1.0);
    assert!(!track.index_some(3));
    let places = track.keyframes.places();
    assert!(places.len() > 3 && places.windows(2).all(|w| w[0] < w[1]), "{places:?}");
    let mut other = before.clone();
    other.learn(&track);
    assert_eq!(other.keyframes.places(), places);
    assert_eq!(other.indexed(), 1.0);
}

#[test]
fn a_line_that_cannot_be_is_refused_with_its_number_and_what_was_before_it_stays() {
    let library = library();
    let tour = taped("tour", |b| b.keys("jj"));
    let at = tour.lines.iter().position(|l| l.contains("lens_layers")).unwrap();
    let cases = [
        (r#"{"t":0,"user":{"resize":[65535,65535]}}"#, "65535x65535 cells"),
        (r#"{"t":0,"event":{"event":"lens_layers","job":2,"run":1000000000,"layers":[]}}"#, "no adapter"),
        (r#"{"t":0,"event":{"event":"cancelled","job":18446744073709551615}}"#, "job 18446744073709551615"),
        (
            r#"{"t":0,"event":{"event":"progress","job":1,"stage":"x","done":1,"total":9999999999999999999,"unit":"bytes"}}"#,
            "more than can be",
        ),
        (r#"{"t":0,"event":{"event":"nothing"}}"#, "unknown variant `nothing`"),
        (r#"{"t":0,"event":{"event":"cancelled","job":1,"job":2}}"#, "duplicate field"),
        (r#"{"t":0,"user":{"key":"no such key"}}"#, "there is no key"),
    ];
    for (line, why) in cases {
        let mut lines = tour.lines.clone();
        lines[at] = line.into();
        let mut track = track(&Recording { name: "x", lines }, &library);
        let said = track.seek_line(usize::MAX).unwrap_err().to_string();
        assert!(said.contains(&format!("line {}", at + 1)) && said.contains(why), "{line}: {said}");
        assert_eq!(track.taken(), at - 1, "{line}");
    }
    let mut lines = tour.lines.clone();
    let (from, to) = ("\"layer\":1,", "\"layer\":1000000000000000000,");
    assert!(lines[at].contains(from), "{}", lines[at]);
    lines[at] = lines[at].replacen(from, to, 1);
    let said =
        track(&Recording { name: "x", lines }, &library).seek_line(usize::MAX).unwrap_err().to_string();
    assert!(said.contains("layer 1000000000000000000 is not one of this model's 19"), "{said}");
}

#[test]
fn a_loss_that_was_no_number_is_one_gap_and_not_a_damaged_file() {
    let library = library();
    let mut recording = taped("nan", |b| train(b, 3, 9, 2));
    let step = recording.lines.iter_mut().find(|l| l.contains("train_step")).unwrap();
    let from = step.find("\"loss\":").unwrap() + 7;
    let end = from + step[from..].find(',').unwrap();
    step.replace_range(from..end, "null");
    let mut track = track(&recording, &library);
    track.seek_line(usize::MAX).unwrap();
    assert_eq!(track.app().training.watch.run.loss.count(), 3);
}

#[test]
fn times_and_lines_are_both_places_to_go_to() {
    let lines = vec![
        serde_json::to_string(&header(Source::Explorer, (80, 24))).unwrap(),
        r#"{"t":100,"user":{"act":"zoom"}}"#.into(),
        r#"{"t":100,"mark":"here"}"#.into(),
        r#"{"t":900,"user":{"act":"zoom"}}"#.into(),
    ];
    let mut track = track(&Recording { name: "x", lines }, &library());
    track.seek(99).unwrap();
    assert_eq!((track.taken(), track.now()), (0, 99));
    track.seek(100).unwrap();
    assert_eq!((track.taken(), track.now(), track.app().zoomed), (2, 100, true));
    track.seek_line(3).unwrap();
    assert_eq!((track.taken(), track.now(), track.app().zoomed), (3, 900, false));
    track.seek_line(1).unwrap();
    assert_eq!((track.taken(), track.now(), track.app().zoomed), (1, 100, true));
    track.seek(1_000_000).unwrap();
    assert_eq!((track.taken(), track.now()), (3, 1_000_000));
}
