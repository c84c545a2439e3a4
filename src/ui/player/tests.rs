use super::*;
use crate::app::keys::parse_keys;
use crate::app::replay::testing::recorded;
use crate::app::replay::{Player, Track};
use crate::app::{ThemeKind, bundle::Bundle};
use crate::ui::screens::text;
use crate::ui::theme::{Ladder, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::Duration;

struct Show {
    player: Player,
    size: (u16, u16),
    now: Duration,
}

impl Show {
    fn new(sessions: &[&str], size: (u16, u16)) -> Self {
        let (library, _) = Bundle::with(None).unwrap();
        let library = Arc::new(library);
        let tracks = sessions.iter().map(|keys| Track::new(Arc::new(recorded(keys)), library.clone()));
        Self { player: Player::new(tracks.collect(), ThemeKind::Dark), size, now: Duration::ZERO }
    }

    fn keys(&mut self, keys: &str) -> &mut Self {
        for key in parse_keys(keys) {
            let area = places(Rect::new(0, 0, self.size.0, self.size.1), self.player.lanes.len())[0];
            self.player.key(key, (area.width, area.height), self.now);
        }
        self
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        for _ in 0..ms / 10 {
            self.now += Duration::from_millis(10);
            self.player.tick(self.size, self.now);
        }
        self
    }

    fn screen(&self) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, self.size.0, self.size.1));
        render(&mut buf, &self.player, &Theme::new(self.player.theme, Ladder::Rgb), self.now);
        text(&buf)
    }
}

/// A session of the scripted model: a layer opened, another language, the PCA.
const KEYS: &str = "jjj<enter><enter>Lhi<enter>4c";

#[test]
fn a_replay_at_two_sizes() {
    for (name, size) in [("small", (80, 24)), ("large", (160, 48))] {
        let mut show = Show::new(&[KEYS], size);
        show.wait(60_000);
        assert!(!show.player.clock.playing, "it stops at the end");
        insta::assert_snapshot!(format!("replay_{name}"), show.screen());
    }
}

#[test]
fn it_pauses_steps_and_jumps() {
    let mut show = Show::new(&[KEYS], (80, 24));
    show.wait(20).keys(" ");
    let at = show.player.now();
    show.wait(3000);
    assert_eq!(show.player.now(), at, "paused");
    let taken = show.player.lane().track.taken();
    show.keys("..");
    assert!(show.player.lane().track.taken() >= taken + 2);
    let there = show.player.lane().track.taken();
    show.keys(".,");
    assert_eq!(show.player.lane().track.taken(), there, "a step back undoes a step on");
    show.keys("@50%<enter>");
    assert_eq!(show.player.now(), show.player.end() / 2);
    show.keys("@soon<enter>");
    assert!(show.screen().contains("is no place"), "{}", show.screen());
    show.keys("@end<enter>");
    assert_eq!(show.player.now(), show.player.end());
    show.keys("+++");
    assert_eq!(show.player.clock.speed(), 8.0);
}

#[test]
fn the_viewer_leaves_the_path_and_returns() {
    let mut show = Show::new(&[KEYS], (120, 40));
    show.wait(60_000);
    let end = show.screen();
    show.keys("2kk");
    assert!(show.player.aside());
    assert!(show.screen().contains("aside") && show.screen().contains("space goes on"), "{}", show.screen());
    // Thai was asked in the recording: it is there without the model. Swahili was not.
    show.keys("Lth<enter>");
    assert_eq!(show.player.lane().app().shared.lang, "th");
    assert!(show.player.lane().app().lens.done() > 0 && show.player.lane().app().lens.job.is_none());
    show.keys("Lsw<enter>");
    assert_ne!(show.player.lane().app().shared.lang, "sw");
    assert!(show.screen().contains("would need the model"), "{}", show.screen());
    show.keys("<esc><esc><backspace>").wait(6000);
    assert!(!show.player.aside());
    assert_eq!(show.screen(), end);
}

#[test]
fn two_sessions_share_the_time_line() {
    for size in [(160, 48), (80, 40)] {
        let mut show = Show::new(&[KEYS, "d6"], size);
        show.wait(60_000);
        assert!(show.player.lanes.iter().all(|l| l.track.next().is_none()));
        show.keys("<C-w>2");
        assert!(show.player.lanes[1].aside.is_some() && show.player.lanes[0].aside.is_none());
        insta::assert_snapshot!(format!("two_{}", size.0), show.keys("<backspace>").wait(6000).screen());
    }
}

#[test]
fn a_note_becomes_a_caption() {
    let mut show = Show::new(&[KEYS], (100, 30));
    show.wait(60_000).keys("@0<enter> ");
    let wishes = {
        show.keys("mEnglish appears in the middle layers");
        show.player.key(parse_keys("<enter>")[0], (100, 28), show.now)
    };
    let [crate::app::replay::player::Wish::Annotate { lane, t, note }] = &wishes[..] else {
        panic!("{wishes:?}")
    };
    show.player.annotated(*lane, *t, note.clone());
    assert!(show.screen().contains("English appears in the middle layers"), "{}", show.screen());
}

#[test]
fn help_and_ascii() {
    let mut show = Show::new(&[KEYS], (80, 24));
    show.wait(60_000).keys("TT?");
    let shown = show.screen();
    assert!(shown.contains("REPLAY") && shown.is_ascii() || shown.contains("Replay"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn beside_the_path_what_plays_moves_and_what_waits_costs_nothing() {
    let mut show = Show::new(&[KEYS], (160, 48));
    show.wait(60_000);
    // The PCA that the recording ends in never comes: nothing is drawn again and again for it.
    show.keys("4j");
    assert!(show.player.lane().app().pca.running.is_some());
    show.wait(1000);
    assert!(show.player.wake(show.now).is_none_or(|at| at > show.now + Duration::from_millis(500)));
    // What is asked when a form was left alone is asked once.
    show.keys("5+");
    assert_eq!(
        show.player.lane().app().training.form.changed.is_some(),
        show.player.wake(show.now).is_some_and(|at| at <= show.now + Duration::from_millis(40))
    );
    show.wait(2000);
    assert!(show.player.lane().app().training.form.changed.is_none(), "its time passes");
}
