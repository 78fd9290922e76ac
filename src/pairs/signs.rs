//! What an id looks like that is written down like one and may be none, or not the one that is meant.
//!
//! There are millions of ids, and most are plain: their bytes are classed by one walk, and only where a class asks for
//! it is anything looked at twice. A UUID in its usual form is not walked at all.

mod words;

use uuid::Uuid;

use super::rules::Rule;
use crate::model::AccountType;
use words::{is_nothing, is_stand_in};

/// What is to be seen in an id: rules and shapes, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs(u32);

/// What ids are made of. More than one shape among the ids of a list is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Uuid,
    /// A UUID without hyphens, or a hash.
    Hex,
    Number,
    Mail,
    Other,
    /// Not a shape of its own: a number of more digits than a spreadsheet keeps.
    LongNumber,
    /// One of those that ends where a spreadsheet does.
    RoundedNumber,
}

impl Shape {
    pub(crate) const ALL: [Self; 7] = [
        Self::Uuid,
        Self::Hex,
        Self::Number,
        Self::Mail,
        Self::Other,
        Self::LongNumber,
        Self::RoundedNumber,
    ];

    const fn bit(self) -> u32 {
        1 << (Rule::COUNT as u32 + self as u32)
    }
}

/// Digits that a spreadsheet keeps.
const KEPT_DIGITS: usize = 15;
/// The bytes of a date as one writes it.
const LONGEST_DATE: usize = 11;

impl Signs {
    /// Of an id that is a UUID in its usual form.
    pub(super) fn of_uuid(uuid: &[u8; 16]) -> Self {
        let signs = Self::default().with_shape(Shape::Uuid);
        match uuid {
            [0, .., 0] if uuid.iter().all(|byte| *byte == 0) => signs.with(Rule::Placeholder),
            [0xff, .., 0xff] if uuid.iter().all(|byte| *byte == 0xff) => signs.with(Rule::StandIn),
            _ => signs,
        }
    }

    /// Of an id that is a number of the accounts' type.
    pub(super) fn of_number(id: &str) -> Self {
        let signs = Self::default().with_shape(Shape::Number);
        if is_stand_in(id) { signs.with(Rule::StandIn) } else { signs }
    }

    /// Of any other id, of a type or not.
    pub(super) fn of_text(of: AccountType, id: &str) -> Self {
        let classes = id.bytes().fold(0, |classes, byte| classes | CLASSES[usize::from(byte)]);
        if is_plain(id.as_bytes(), classes) {
            return Self::default().with_shape(shape(id, classes));
        }
        Self::of_odd(of, id, classes)
    }

    /// Of an id that may be anything.
    #[cold]
    fn of_odd(of: AccountType, id: &str, classes: u8) -> Self {
        let mut signs = Self::default();
        if classes & (CONTROL | WIDE) != 0 {
            signs = signs.with_characters(id);
        }
        if let Some(uuid) = respelt_uuid(id, classes) {
            let is_text = matches!(of, AccountType::Text | AccountType::Ascii);
            let rule = if uuid.is_nil() { Rule::Placeholder } else { Rule::UuidSpelling };
            return if is_text { signs.with(rule) } else { signs }.with_shape(Shape::Uuid);
        }
        if is_nothing(id, classes) {
            // It is of no shape: whoever accepts it knows that it is another one.
            return signs.with(Rule::Placeholder);
        }
        if is_of_a_spreadsheet(id, classes) {
            return signs.with(Rule::Spreadsheet);
        }
        signs = signs.with_shape(shape(id, classes));
        // Of those words only numbers have digits, and those are short.
        if (classes & DIGIT == 0 || id.len() <= 2) && is_stand_in(id) {
            signs = signs.with(Rule::StandIn);
        }
        if classes & DIGIT != 0 && classes & MARK != 0 && is_reformatted(id) {
            signs = signs.with(Rule::Reformatted);
        }
        if classes & MARK != 0 && is_quoted(id.as_bytes()) {
            signs = signs.with(Rule::Quoted);
        }
        if classes == DIGIT && id.len() > KEPT_DIGITS {
            signs = signs.with_shape(Shape::LongNumber);
            if id.as_bytes()[KEPT_DIGITS..].iter().all(|digit| *digit == b'0') {
                signs = signs.with_shape(Shape::RoundedNumber);
            }
        }
        signs
    }

    fn with_characters(mut self, id: &str) -> Self {
        let (mut latin, mut other) = (false, false);
        for c in id.chars() {
            latin |= c.is_ascii_alphabetic();
            other |= matches!(c, '\u{370}'..='\u{52f}');
            // Of the same character in another width, or with another look.
            let is_variant = matches!(c, '\u{ff01}'..='\u{ff5e}' | '\u{fe00}'..='\u{fe0f}');
            if is_invisible(c) {
                self = self.with(Rule::InvalidId);
            } else if is_variant || c != ' ' && c.is_whitespace() {
                self = self.with(Rule::LookAlike);
            }
        }
        if latin && other { self.with(Rule::LookAlike) } else { self }
    }

    pub(super) fn with(self, rule: Rule) -> Self {
        Self(self.0 | rule.bit())
    }

    fn with_shape(self, shape: Shape) -> Self {
        Self(self.0 | shape.bit())
    }

    /// The rules that concern the id, a bit each.
    pub(super) fn rules(self) -> u32 {
        self.0 & ((1 << Rule::COUNT) - 1)
    }

    /// The shapes that it has, a bit each.
    pub(super) fn shapes(self) -> u32 {
        self.0 >> Rule::COUNT
    }

    /// Whether this rule concerns it.
    pub(super) fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }

    pub(super) fn is(self, shape: Shape) -> bool {
        self.0 & shape.bit() != 0
    }

    /// What is to be seen in either of two ids.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

const DIGIT: u8 = 1;
const LETTER: u8 = 2;
const AT: u8 = 4;
/// Any other printable character of ASCII, the space among them.
const MARK: u8 = 8;
const WIDE: u8 = 16;
const CONTROL: u8 = 32;
/// A letter that is no hexadecimal digit, beside [`LETTER`].
const BEYOND_HEX: u8 = 64;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => LETTER,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER | BEYOND_HEX,
            b'@' => AT,
            0..=31 | 127 => CONTROL,
            128.. => WIDE,
            _ => MARK,
        };
        byte += 1;
    }
    classes
}

/// A character that takes no room, steers the direction of others, or stands where one could not be read.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Text as it is shown: what nobody sees is written by its number.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\r' => shown.extend(c.escape_default()),
            c if is_invisible(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Whether nothing can be said of an id but its shape: it has a digit, so that it is no word; and either nothing but
/// letters beside it, or no sign where numbers, dates and quotes of whatever has rewritten it would have one.
fn is_plain(id: &[u8], classes: u8) -> bool {
    let is_alphanumeric = |byte: u8| CLASSES[usize::from(byte)] & (DIGIT | LETTER) != 0;
    match *id {
        _ if classes & DIGIT == 0 || classes == DIGIT || classes & (WIDE | CONTROL) != 0 => false,
        _ if classes & (MARK | AT) == 0 => true,
        [b'a'..=b'z' | b'A'..=b'Z', .., last] => {
            is_alphanumeric(last) && id.len() > LONGEST_DATE && !may_be_uuid(id.len())
        }
        _ => false,
    }
}

/// Whether a UUID with hyphens may be so long.
fn may_be_uuid(len: usize) -> bool {
    matches!(len, 36 | 38 | 45)
}

fn shape(id: &str, classes: u8) -> Shape {
    if classes == DIGIT {
        Shape::Number
    } else if classes & AT != 0 {
        Shape::Mail
    } else if id.len() == 32 && classes & !(DIGIT | LETTER) == 0 {
        Shape::Hex
    } else {
        Shape::Other
    }
}

/// A UUID with hyphens that is not written in the usual way.
fn respelt_uuid(id: &str, classes: u8) -> Option<Uuid> {
    if !may_be_uuid(id.len())
        || classes & (DIGIT | LETTER) == 0
        || classes & !(DIGIT | LETTER | BEYOND_HEX | MARK) != 0
    {
        return None;
    }
    let inner = match id.as_bytes() {
        [b'(', .., b')'] => &id[1..id.len() - 1],
        _ => id,
    };
    Uuid::try_parse(inner).ok()
}

/// A number as spreadsheets round it, or what they put before one so that they leave it alone.
fn is_of_a_spreadsheet(id: &str, classes: u8) -> bool {
    let may_begin = matches!(id.as_bytes(), [b'0'..=b'9' | b'\'' | b'=' | b'-' | 128.., ..]);
    if classes & DIGIT == 0 || classes & (MARK | WIDE) == 0 || !may_begin {
        return false;
    }
    let is_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if let Some(rest) = id.strip_prefix(['\'', '\u{2018}', '\u{2019}', '\u{2bc}']) {
        return is_digit(rest);
    }
    if let Some(rest) = id.strip_prefix('=') {
        return is_digit(rest.trim_start_matches(['"', '\'']));
    }
    scientific(id).is_some_and(|(fraction, exponent)| {
        let exponent = exponent.strip_prefix('+').unwrap_or_default();
        !fraction.is_some_and(str::is_empty) && exponent.len() >= 2
    })
}

/// `9.91214E+15` → `91214`, `+15`: one digit, perhaps a fraction, and an exponent of digits.
fn scientific(id: &str) -> Option<(Option<&str>, &str)> {
    let id = id.strip_prefix('-').unwrap_or(id);
    let (number, exponent) = id.split_once(['E', 'e'])?;
    let (whole, fraction) = match number.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = whole.len() == 1 && !digits.is_empty();
    let parts = [whole, fraction.unwrap_or_default(), digits];
    let all_digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && parts.iter().all(all_digits)).then_some((fraction, exponent))
}

/// A number as programs rewrite it, where it may as well be an id that somebody has.
fn is_reformatted(id: &str) -> bool {
    let begins_as_number = id.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if !begins_as_number {
        return id.len() <= LONGEST_DATE && is_date(id);
    }
    let all_digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((whole, zeros)) = id.split_once('.')
        && all_digits(whole)
        && !zeros.is_empty()
        && zeros.bytes().all(|byte| byte == b'0')
    {
        return true;
    }
    // By thousands; a fraction and an exponent without a plus are how Java writes large ones.
    let mut thousands = id.split(',');
    let first = thousands.next().is_some_and(|first| first.len() <= 3 && all_digits(first));
    let is_grouped =
        first && id.contains(',') && thousands.all(|three| three.len() == 3 && all_digits(three));
    let is_java = scientific(id).is_some_and(|(fraction, _)| fraction.is_some_and(all_digits));
    is_grouped || is_java || is_date(id)
}

/// A day or a month, into which spreadsheets turn ids such as `MAR1`.
fn is_date(id: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let is_month = |part: &str| MONTHS.iter().any(|month| month.eq_ignore_ascii_case(part));
    let is_number = |part: &str| {
        (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = id.split('-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(one), Some(two), None, None) => {
            is_number(one) && is_month(two) || is_month(one) && is_number(two)
        }
        (Some(day), Some(month), Some(year), None) => {
            is_number(day) && is_month(month) && is_number(year)
        }
        _ => false,
    }
}

/// Quotes that a reader of the list left in place, or those of a literal.
fn is_quoted(id: &[u8]) -> bool {
    match id {
        [b'b' | b'u', rest @ ..] if is_quoted(rest) && rest[0] != b'`' => true,
        [first @ (b'\'' | b'"' | b'`'), .., last] => first == last,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
