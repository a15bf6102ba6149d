package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/dictionaries"
)

// dictionary loads the attributes that we know: ours, and the operator's.
func (a *app) dictionary() (*dictionaries.Dictionary, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	return dictionaries.Load(c.Dictionaries...)
}

func newDictionaryCmd(a *app) *cobra.Command {
	return nounOf("dictionary", "Attributes: names, numbers, types and values", newDictionaryShowCmd(a), newDictionaryListCmd(a))
}

// attributeView is a definition in JSON.
type attributeView struct {
	Name      string      `json:"name"`
	OID       string      `json:"oid"`
	Number    uint32      `json:"number"`
	Vendor    string      `json:"vendor"` // "" in the standard space
	VendorID  uint32      `json:"vendor_id"`
	Type      string      `json:"type"`
	Length    int         `json:"length"` // of octets with a fixed length, else 0
	Encrypted string      `json:"encrypted"`
	HasTag    bool        `json:"has_tag"`
	Internal  bool        `json:"internal"` // known to policies, never sent
	Values    []valueView `json:"values"`
}

type valueView struct {
	Name   string `json:"name"`
	Number uint64 `json:"number"`
}

// encryptionNames are FreeRADIUS's flags with a word for people.
var encryptionNames = map[dictionaries.Encryption]string{
	dictionaries.EncryptNone: "", dictionaries.EncryptUser: "encrypt=1", dictionaries.EncryptTunnel: "encrypt=2", dictionaries.EncryptAscend: "encrypt=3",
}

func attributeViewOf(attr *dictionaries.Attribute) attributeView {
	v := attributeView{
		Name: attr.Name, OID: attr.OID(), Number: attr.Number, Type: attr.Type.String(), Length: attr.Length,
		Encrypted: encryptionNames[attr.Encrypt], HasTag: attr.HasTag, Internal: attr.Internal, Values: []valueView{},
	}
	if attr.Vendor != nil {
		v.Vendor, v.VendorID = attr.Vendor.Name, attr.Vendor.ID
	}
	for name, number := range attr.ValueNames() {
		v.Values = append(v.Values, valueView{name, number})
	}
	return v
}

// flags are what is special about the attribute.
func (v attributeView) flags() string {
	var all []string
	if v.Length > 0 {
		all = append(all, fmt.Sprintf("length %d", v.Length))
	}
	if v.HasTag {
		all = append(all, "has_tag")
	}
	if v.Encrypted != "" {
		all = append(all, v.Encrypted)
	}
	if v.Internal {
		all = append(all, "internal")
	}
	return strings.Join(all, ", ")
}

func newDictionaryShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show an attribute with its values",
		Example: "  radial dictionary show Mikrotik-Rate-Limit",
		Args:    named("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			dict, err := a.dictionary()
			if err != nil {
				return err
			}
			attr := dict.Find(args[0])
			if attr == nil {
				return fmt.Errorf("attribute %q: %w%s", args[0], aaa.ErrNotFound, similar(dict, args[0]))
			}
			v := attributeViewOf(attr)
			return a.print(v, func() string {
				g := grid{}
				g.add("attribute", v.Name)
				g.add("number", v.OID)
				g.add("vendor", orDash(v.Vendor))
				g.add("type", v.Type)
				g.add("flags", orDash(v.flags()))
				out := g.String()
				if len(v.Values) == 0 {
					return out
				}
				values := grid{titles: []string{"value", "number"}}
				for _, one := range v.Values {
					values.add(one.Name, strconv.FormatUint(one.Number, 10))
				}
				return out + "\n" + values.String()
			})
		},
	}
}

// similar names some attributes that have the text in their name.
func similar(dict *dictionaries.Dictionary, name string) string {
	var found []string
	for attr := range dict.All() {
		if strings.Contains(strings.ToLower(attr.Name), strings.ToLower(name)) {
			if found = append(found, attr.Name); len(found) == 5 {
				break
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return " (did you mean " + strings.Join(found, ", ") + "?)"
}

func newDictionaryListCmd(a *app) *cobra.Command {
	var vendor string
	var internal bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the vendors, or with --vendor one vendor's attributes (standard: those of the RFCs)",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dict, err := a.dictionary()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("vendor") && !internal {
				return listVendors(a, dict)
			}
			var v *dictionaries.Vendor
			if vendor != "standard" && !internal {
				if v = dict.Vendor(vendor); v == nil {
					return fmt.Errorf("vendor %q: %w; radial dictionary list names them all", vendor, aaa.ErrNotFound)
				}
			}
			return listAttributes(a, dict, v, internal)
		},
	}
	cmd.Flags().StringVar(&vendor, "vendor", "", "the attributes of this `vendor`, or standard")
	cmd.Flags().BoolVar(&internal, "internal", false, "the attributes that policies use and packets never have")
	cmd.MarkFlagsMutuallyExclusive("vendor", "internal")
	return cmd
}

func listVendors(a *app, dict *dictionaries.Dictionary) error {
	type vendorView struct {
		Name       string `json:"name"`
		ID         uint32 `json:"id"`
		Attributes int    `json:"attributes"`
	}
	all := []vendorView{}
	for _, v := range dict.Vendors() {
		n := 0
		for range dict.OfVendor(v) {
			n++
		}
		all = append(all, vendorView{v.Name, v.ID, n})
	}
	return a.print(all, func() string {
		g := grid{titles: []string{"vendor", "id", "attributes"}}
		for _, v := range all {
			g.add(v.Name, strconv.FormatUint(uint64(v.ID), 10), strconv.Itoa(v.Attributes))
		}
		return g.String()
	})
}

func listAttributes(a *app, dict *dictionaries.Dictionary, v *dictionaries.Vendor, internal bool) error {
	all := []attributeView{}
	for attr := range dict.OfVendor(v) {
		if attr.Internal == internal {
			all = append(all, attributeViewOf(attr))
		}
	}
	return a.print(all, func() string {
		g := grid{titles: []string{"attribute", "number", "type", "flags", "values"}}
		for _, one := range all {
			g.add(one.Name, one.OID, one.Type, one.flags(), numberOr(int64(len(one.Values))))
		}
		return g.String()
	})
}
