//! What a domain's CPUID leaves and MSRs are to show (`libxl_cpuid_policy_list`).
//!
//! A register's policy is a string of one character per bit, highest bit first: `1` and `0` force the bit, `x` leaves
//! it to the default, `k` keeps the host's, `s` keeps what it was across migration (`xl.cfg(5)`, `cpuid`).

use serde::de::{Error as _, SeqAccess};
use serde::{Deserialize, Serialize};

use super::idl::Value;

/// The overrides of CPUID leaves and MSRs.
///
/// libxl 4.17.7 writes an object with both; before that the JSON was the array of leaves alone. Both are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuidPolicyList {
    /// Overrides of CPUID leaves.
    pub cpuid: Vec<CpuidLeaf>,
    /// Overrides of MSRs.
    pub msr: Vec<MsrPolicy>,
}

/// The override of one CPUID leaf (`struct xc_xend_cpuid`). Each register has 32 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuidLeaf {
    /// The leaf: EAX on entry.
    pub leaf: u32,
    /// The sub-leaf: ECX on entry; `None` for leaves that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subleaf: Option<u32>,
    /// The policy of EAX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eax: Option<String>,
    /// The policy of EBX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ebx: Option<String>,
    /// The policy of ECX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecx: Option<String>,
    /// The policy of EDX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edx: Option<String>,
}

/// The override of one MSR (`struct xc_msr`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MsrPolicy {
    /// The number of the MSR.
    pub index: u32,
    /// 64 characters, one per bit.
    pub policy: String,
}

impl<'de> Deserialize<'de> for CpuidPolicyList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl<'de> serde::de::Visitor<'de> for EitherForm {
            type Value = CpuidPolicyList;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of \"cpuid\" and \"msr\", or an array of CPUID leaves")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, leaves: A) -> Result<CpuidPolicyList, A::Error> {
                let cpuid = Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(leaves))?;
                Ok(CpuidPolicyList { cpuid, msr: Vec::new() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, object: A) -> Result<CpuidPolicyList, A::Error> {
                #[derive(Deserialize)]
                struct Both {
                    cpuid: Vec<CpuidLeaf>,
                    msr: Vec<MsrPolicy>,
                }
                let Both { cpuid, msr } = Both::deserialize(serde::de::value::MapAccessDeserializer::new(object))?;
                if let Some(wrong) = msr.iter().find(|msr| msr.policy.len() != 64) {
                    return Err(A::Error::custom(format!("the policy of MSR {:#x} has not 64 bits", wrong.index)));
                }
                Ok(CpuidPolicyList { cpuid, msr })
            }
        }
        deserializer.deserialize_any(EitherForm)
    }
}

impl Value for CpuidPolicyList {
    fn is_omitted(&self) -> bool {
        self.cpuid.is_empty() && self.msr.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_is_read() {
        let older: CpuidPolicyList = serde_json::from_str(r#"[{"leaf": 1, "ecx": "0x"}]"#).unwrap();
        let newer = r#"{"cpuid": [{"leaf": 1, "ecx": "0x", "eax": null}], "msr": []}"#;
        assert_eq!(serde_json::from_str::<CpuidPolicyList>(newer).unwrap(), older);
    }

    #[test]
    fn a_short_msr_policy_is_refused() {
        let text = r#"{"cpuid": [], "msr": [{"index": 16, "policy": "1"}]}"#;
        let error = serde_json::from_str::<CpuidPolicyList>(text).unwrap_err();
        assert!(error.to_string().contains("MSR 0x10"), "{error}");
    }
}
