//! Words in lines: how reports, the manual and comments are broken.

use unicode_width::UnicodeWidthStr;

/// Fills lines with words: the first as far as `first` columns, the others as far as `room`. A word that is wider has a
/// line of its own.
pub(crate) fn filled<W: AsRef<str>>(
    words: impl IntoIterator<Item = W>,
    first: usize,
    room: usize,
) -> Vec<String> {
    let (mut lines, mut line, mut is_begun) = (Vec::new(), String::new(), false);
    for word in words {
        let word = word.as_ref();
        let room = if lines.is_empty() { first } else { room };
        if is_begun && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
            is_begun = false;
        }
        line += if is_begun { " " } else { "" };
        line += word;
        is_begun = true;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled_and_no_word_is_lost() {
        let text = "one two three fourteen 漢字 x";
        assert_eq!(filled(text.split(' '), 3, 7), ["one", "two", "three", "fourteen", "漢字 x"]);
        assert_eq!(filled(text.split(' '), 80, 80), [text]);
        assert_eq!(filled([""; 0], 5, 5), [""]);
    }
}
