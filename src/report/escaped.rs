//! Text of others as it may stand in HTML and SVG.

use std::fmt::{self, Display, Formatter, Write};

/// Text as it may stand in an element or in a quoted attribute: it is never markup, whatever it holds. What has no
/// shape of its own or changes the direction of what follows is shown by its number.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\t' | '\n' | '\r' => f.write_char(' '),
            c if c.is_control() || is_invisible(c) => write!(f, "{}", c.escape_unicode()),
            c => f.write_char(c),
        })
    }
}

/// Marks of direction, characters without width, and what XML knows no way to write.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let escaped = |text: &str| Escaped(text).to_string();
        assert_eq!(escaped("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;");
        assert_eq!(
            escaped("\"><img src=x onerror='a'>"),
            "&quot;&gt;&lt;img src=x onerror=&#39;a&#39;&gt;"
        );
        assert_eq!(escaped("&lt; é 名 \\"), "&amp;lt; é 名 \\");
        assert_eq!(escaped("a\u{202e}b\u{0}\u{1b}[2J\nc"), "a\\u{202e}b\\u{0}\\u{1b}[2J c");
    }
}
