//! Objects that are objects: serde's derive reads a struct from an array too, member by member.
//!
//! A Pod with an array where an object belongs would be read, and no patch would apply to it. So
//! each type of the wire derives with `remote = "Self"` and is read through [`from_object`].

/// Implements `Deserialize` by what was derived with `remote = "Self"`, for objects alone.
macro_rules! from_object {
    ($($type:ident $(<$inner:ident>)?),+ $(,)?) => {$(
        impl<'de: 'a, 'a $(, $inner)?> ::serde::Deserialize<'de> for $type<'a $(, $inner)?>
        $(where $inner: ::serde::Deserialize<'de>)?
        {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: ::serde::Deserializer<'de>,
            {
                struct Members<T>(::std::marker::PhantomData<T>);

                impl<'de: 'a, 'a $(, $inner)?> ::serde::de::Visitor<'de>
                    for Members<$type<'a $(, $inner)?>>
                $(where $inner: ::serde::Deserialize<'de>)?
                {
                    type Value = $type<'a $(, $inner)?>;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A>(self, map: A) -> Result<Self::Value, A::Error>
                    where
                        A: ::serde::de::MapAccess<'de>,
                    {
                        // The derived function, not this one: an inherent one comes first.
                        $type::deserialize(::serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Members(::std::marker::PhantomData))
            }
        }
    )+};
}

pub(crate) use from_object;
