//! Prompts of about 180 tokens, and a full lens of one.

use polylens::engine::protocol::{LensAnswer, Query};
use polylens::engine::{Cancel, Engine};
use std::time::Instant;

/// Two shots, as in the sentiment task; with `QUERIES` about 180 tokens of Gemma's vocabulary.
pub const SHOTS: &str = "Review: I bought this lamp for my daughter's desk and we are both delighted. The light is warm, \
the arm stays where you put it, and after half a year of daily use nothing has come loose. Even the switch still clicks as on \
the first day, and the shop sent a spare bulb without being asked. Worth every cent.\n\
Sentiment: \"positive\"\nReview: The zip broke on the second day and the seller never answered any of my three letters. \
The fabric smells of glue, the colour is not the one in the picture, and the pockets are sewn shut. I \
would have sent it back, but the postage costs more than the jacket. Save your money.\n\
Sentiment: \"negative\"\n";
pub const QUERIES: [&str; 4] = [
    "Review: Nach zwei Wochen war der Akku leer, und das Ladegerät passt in keine Steckdose. Sehr ärgerlich.\nSentiment: \"",
    "Review: หนังสือเล่มนี้อ่านสนุกมาก ภาพสวย และส่งถึงบ้านเร็วกว่าที่คิด\nSentiment: \"",
    "Review: 这双鞋穿起来很舒服，走了一整天脚也不疼，下次还会再买。\nSentiment: \"",
    "Review: Kitabu hiki kinachosha, na kurasa kumi zilikuwa zimechanika nilipokipokea.\nSentiment: \"",
];
/// One lens, in milliseconds.
pub fn lens(engine: &Engine, prefix: &str, text: &str) -> Result<(f64, LensAnswer), String> {
    let query = Query { prefix: prefix.to_owned(), text: text.to_owned(), ..Query::default() };
    let start = Instant::now();
    let answer = engine.lens(&query, &[None], 10, &Cancel::new(), &mut |_| {}).map_err(|e| e.to_string())?;
    Ok((start.elapsed().as_secs_f64() * 1e3, answer))
}

/// A prefix that no cache has seen: a different first word each round.
pub fn fresh(round: usize) -> String {
    format!("{round}.\n{SHOTS}")
}
