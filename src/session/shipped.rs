//! The recordings that come with the program.

/// A session inside the program.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name on the command line.
    pub name: &'static str,
    /// The file; its header has title and description.
    pub text: &'static [u8],
}

/// All of them, in the order in which they are offered.
pub static SHIPPED: &[Shipped] = &[];
