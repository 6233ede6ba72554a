//! Changes to what CPUID and MSRs tell the guest (xl.cfg(5), `cpuid`): `"host,flag=value,..."`, or a list of leaves
//! as xend had them. What cannot be read is told of and left out; the domain is created without it.

use super::cpu_features::{FEATURES, FIELDS, Field, WORDS, Word};
use super::diagnostic::Diagnostics;
use super::number;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{CpuidLeaf, CpuidPolicyList, MsrPolicy};

/// Reads the key `cpuid`.
pub(crate) fn read(reader: &mut Reader<'_>) -> CpuidPolicyList {
    let mut policy = CpuidPolicyList::default();
    if let Some(list) = reader.list_if_one("cpuid") {
        for line in reader.leading_texts("cpuid", list) {
            leaf(line, &mut policy, reader.diagnostics);
        }
    } else if let Some(text) = reader.text("cpuid") {
        flags(text, &mut policy, reader.diagnostics);
    }
    policy
}

fn flags(text: Text<'_>, policy: &mut CpuidPolicyList, diagnostics: &mut Diagnostics) {
    let mut words = text.tokens(&[',']);
    let Some(first) = words.next() else { return };
    if first.text != "host" {
        diagnostics
            .ignored(first.span, "the first word of `cpuid' is not \"host\"")
            .help("write cpuid = \"host,flag=value,...\"");
        return;
    }
    for word in words {
        flag(word, policy, diagnostics);
    }
}

/// One `name=value`.
fn flag(word: Text<'_>, policy: &mut CpuidPolicyList, diagnostics: &mut Diagnostics) {
    let Some((name, value)) = word.split_once('=') else {
        diagnostics.ignored(word.span, format!("`{}' has no value", word.text)).help("write flag=value");
        return;
    };
    let field = FIELDS.iter().find(|f| f.name == name.text);
    let known = if let Some(field) = field {
        set_field(field, value.text, policy)
    } else if let Ok(index) = FEATURES.binary_search_by_key(&name.text, |f| f.0) {
        set_feature(FEATURES[index], value.text, policy)
    } else {
        let names = FIELDS.iter().map(|f| f.name).chain(FEATURES.iter().map(|f| f.0));
        let message = format!("unknown CPU feature `{}'", name.text);
        diagnostics.ignored(name.span, message).did_you_mean(name.text, names);
        return;
    };
    if known.is_none() {
        diagnostics.ignored(value.span, format!("not a value for `{}'", name.text)).help(format!(
            "a value is 0 to {}, x (as by default), k (as the host has it) or s (the same after migration)",
            field.map_or(1, Field::largest)
        ));
    }
}

fn set_feature((name, feature): (&'static str, u16), value: &str, policy: &mut CpuidPolicyList) -> Option<()> {
    let bit = usize::from(feature % 32);
    match WORDS.get(usize::from(feature / 32))? {
        Word::Cpuid(leaf, subleaf, register) => {
            let field = Field { name, leaf: *leaf, subleaf: *subleaf, register: *register, bit, width: 1 };
            set_field(&field, value, policy)
        }
        Word::Msr(index, first) => {
            let bits = &mut msr_of(policy, *index).policy;
            let character = match value {
                "0" | "1" | "x" | "k" => value,
                "s" => "k",
                _ => return None,
            };
            let at = 63 - first - bit;
            bits.replace_range(at..=at, character);
            Some(())
        }
    }
}

/// Writes a number in binary, or one of x, k and s for each bit, into a register's 32 characters.
fn set_field(field: &Field, value: &str, policy: &mut CpuidPolicyList) -> Option<()> {
    let register = &mut *register_of(leaf_of(policy, field.leaf, field.subleaf), field.register);
    let number = number::leading(value, 0).map(|n| n.value);
    let bits = match (number, value.chars().next()) {
        (Some(number), _) if !(0..=field.largest()).contains(&number) => return None,
        (Some(number), _) => binary(number, field.width),
        (None, Some(c @ ('x' | 'k' | 's'))) => c.to_string().repeat(field.width),
        _ => return None,
    };
    let bits_of_32 = register.get_or_insert_with(|| "x".repeat(32));
    match (field.name, number) {
        // The family and the model are split over two fields each.
        ("family", Some(family)) if family >= 16 => {
            put(bits_of_32, field.bit, "1111");
            put(bits_of_32, 20, &binary(family - 15, 8));
        }
        ("family", _) => {
            put(bits_of_32, field.bit, &bits[4..]);
            put(bits_of_32, 20, "00000000");
        }
        ("model", _) => {
            put(bits_of_32, 16, &bits[..4]);
            put(bits_of_32, field.bit, &bits[4..]);
        }
        _ => put(bits_of_32, field.bit, &bits),
    }
    Some(())
}

fn binary(number: i128, width: usize) -> String {
    (0..width).rev().map(|bit| if number >> bit & 1 == 1 { '1' } else { '0' }).collect()
}

/// Puts characters where the bits from `bit` on stand.
fn put(register: &mut String, bit: usize, bits: &str) {
    let end = 32 - bit;
    register.replace_range(end - bits.len()..end, bits);
}

/// One line of xend's form: `leaf[,subleaf]:eax=<32 characters>,...`.
fn leaf(line: Text<'_>, policy: &mut CpuidPolicyList, diagnostics: &mut Diagnostics) {
    if let Err((place, why)) = leaf_or_why(line, policy) {
        diagnostics
            .ignored(place.span, why.to_string())
            .help("a line is \"LEAF[,SUBLEAF]:eax=<32 characters>,ebx=...\"");
    }
}

fn leaf_or_why<'a>(line: Text<'a>, policy: &mut CpuidPolicyList) -> Result<(), (Text<'a>, &'static str)> {
    let (leaf, mut rest) = leaf_number(line).ok_or((line, "no number of a leaf"))?;
    let mut subleaf = None;
    if let Some(after) = rest.strip_prefix(",") {
        let (number, behind) = leaf_number(after).ok_or((after, "no number of a sub-leaf"))?;
        (subleaf, rest) = (Some(number), behind);
    }
    let mut rest = rest.strip_prefix(":").ok_or((rest, "no colon after the leaf"))?;
    let entry = leaf_of(policy, leaf, subleaf);
    while !rest.text.is_empty() {
        let bytes = rest.text.as_bytes();
        let register = match bytes {
            [b'e', letter @ b'a'..=b'd', b'x', ..] => usize::from(letter - b'a'),
            _ => return Err((rest, "not a register (eax, ebx, ecx or edx)")),
        };
        let (_, value) = rest.split_once('=').ok_or((rest, "not a register (eax, ebx, ecx or edx)"))?;
        let (bits, next) = value.split_once(',').unwrap_or((value, value.from(value.text.len())));
        if bits.text.len() != 32 || !bits.text.is_ascii() {
            return Err((bits, "a register needs exactly 32 characters"));
        }
        *register_of(entry, register) = Some(bits.text.to_string());
        rest = next.from(next.text.len() - next.text.trim_start_matches([' ', '\n']).len());
    }
    Ok(())
}

/// The number of a leaf or sub-leaf, and what follows it. That of all ones is none: it is Xen's word for "any".
fn leaf_number(text: Text<'_>) -> Option<(u32, Text<'_>)> {
    let number = number::leading(text.text, 0)?;
    let leaf = u32::try_from(number.value).ok().filter(|n| *n != u32::MAX)?;
    Some((leaf, text.from(text.text.len() - number.rest.len())))
}

fn register_of(leaf: &mut CpuidLeaf, register: usize) -> &mut Option<String> {
    match register {
        0 => &mut leaf.eax,
        1 => &mut leaf.ebx,
        2 => &mut leaf.ecx,
        _ => &mut leaf.edx,
    }
}

fn leaf_of(policy: &mut CpuidPolicyList, leaf: u32, subleaf: Option<u32>) -> &mut CpuidLeaf {
    let found = policy.cpuid.iter().position(|l| l.leaf == leaf && l.subleaf == subleaf);
    let index = found.unwrap_or_else(|| {
        policy.cpuid.push(CpuidLeaf { leaf, subleaf, ..CpuidLeaf::default() });
        policy.cpuid.len() - 1
    });
    &mut policy.cpuid[index]
}

fn msr_of(policy: &mut CpuidPolicyList, index: u32) -> &mut MsrPolicy {
    let found = policy.msr.iter().position(|m| m.index == index);
    let at = found.unwrap_or_else(|| {
        policy.msr.push(MsrPolicy { index, policy: "x".repeat(64) });
        policy.msr.len() - 1
    });
    &mut policy.msr[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_flags(text: &str) -> (CpuidPolicyList, usize) {
        let mut policy = CpuidPolicyList::default();
        let mut diagnostics = Diagnostics::new(false);
        flags(Text::new(text, Default::default()), &mut policy, &mut diagnostics);
        (policy, diagnostics.iter().count())
    }

    fn from_leaf(text: &str) -> (CpuidPolicyList, usize) {
        let mut policy = CpuidPolicyList::default();
        let mut diagnostics = Diagnostics::new(false);
        leaf(Text::new(text, Default::default()), &mut policy, &mut diagnostics);
        (policy, diagnostics.iter().count())
    }

    #[test]
    fn one_bit_and_wider_fields() {
        let (policy, wrong) = from_flags("host,aes=0,proccount=2,maxleaf=0xd");
        assert_eq!(wrong, 0);
        assert_eq!(policy.cpuid[0].ecx.as_deref(), Some("xxxxxx0xxxxxxxxxxxxxxxxxxxxxxxxx"));
        assert_eq!(policy.cpuid[0].ebx.as_deref(), Some("xxxxxxxx00000010xxxxxxxxxxxxxxxx"));
        assert_eq!(policy.cpuid[1].eax.as_deref(), Some("00000000000000000000000000001101"));
    }

    #[test]
    fn family_and_model_are_split() {
        let (policy, _) = from_flags("host,family=15,model=0x2a");
        assert_eq!(policy.cpuid[0].eax.as_deref(), Some("xxxx000000000010xxxx11111010xxxx"));
        for (family, eax) in [("0x17", "xxxx00001000xxxxxxxx1111xxxxxxxx"), ("255", "xxxx11110000xxxxxxxx1111xxxxxxxx")]
        {
            let (policy, _) = from_flags(&format!("host,family={family}"));
            assert_eq!(policy.cpuid[0].eax.as_deref(), Some(eax));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_left_out() {
        for flag in ["aes=2", "stepping=16", "family=271", "nc=-1", "maxleaf=18446744073709551616"] {
            let (policy, wrong) = from_flags(&format!("host,{flag}"));
            let leaf = &policy.cpuid[0];
            assert_eq!((&leaf.eax, &leaf.ecx, wrong), (&None, &None, 1), "{flag}");
        }
        let all_ones = "x".repeat(32);
        for leaf in ["-1", "4294967295", "4294967296", "7,-2"] {
            assert_eq!(from_leaf(&format!("{leaf}:eax={all_ones}")), (CpuidPolicyList::default(), 1), "{leaf}");
        }
    }

    #[test]
    fn bits_of_msrs() {
        let (policy, wrong) = from_flags("host,rdcl-no=1,eibrs=s");
        assert_eq!(wrong, 0);
        assert_eq!((policy.msr[0].index, &policy.msr[0].policy[62..]), (0x10a, "k1"));
        assert_eq!(from_flags("host,rdcl-no=10").1, 1);
    }

    #[test]
    fn what_cannot_be_read_is_told_of() {
        for wrong in ["host,foo=1", "host,aes", "host,aes=z", "aes=0"] {
            assert_eq!(from_flags(wrong).1, 1, "{wrong}");
        }
        assert_eq!(from_flags("").1, 0);
        for wrong in ["x:eax=1", "1,x:eax=1", "1;eax=1", "1:efx=1", "1:eax=1", "1:eax"] {
            assert_eq!(from_leaf(wrong).1, 1, "{wrong}");
        }
    }

    #[test]
    fn lines_of_xend() {
        let bits = "0".repeat(32);
        let (policy, wrong) = from_leaf(&format!("7,0:ebx={bits}, ecx={bits}"));
        assert_eq!((wrong, policy.cpuid[0].subleaf), (0, Some(0)));
        assert_eq!((policy.cpuid[0].ecx.as_deref(), policy.cpuid[0].eax.as_deref()), (Some(bits.as_str()), None));
    }
}
