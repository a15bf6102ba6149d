package routeros

import "context"

// Interface is an interface of a router with its counters since it came up.
type Interface struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	MAC      string `json:"mac_address"`
	Running  bool   `json:"running"`
	Disabled bool   `json:"disabled"`
	Dynamic  bool   `json:"dynamic"` // a subscriber's: the router made it
	RxByte   uint64 `json:"rx_byte"` // received by the router
	TxByte   uint64 `json:"tx_byte"`
	RxPacket uint64 `json:"rx_packet"`
	TxPacket uint64 `json:"tx_packet"`
	RxError  uint64 `json:"rx_error"`
	TxError  uint64 `json:"tx_error"`
	RxDrop   uint64 `json:"rx_drop"`
	TxDrop   uint64 `json:"tx_drop"`
	Comment  string `json:"comment"`
}

// Interfaces are those of a router.
func Interfaces(ctx context.Context, c *Conn) ([]Interface, error) {
	reply, err := c.Run(ctx, "/interface/print")
	if err != nil {
		return nil, err
	}
	all := make([]Interface, 0, len(reply.Rows))
	for _, r := range reply.Rows {
		d := decoder{row: r}
		all = append(all, Interface{
			Name: r["name"], Type: r["type"], MAC: r["mac-address"], Running: d.flag("running"), Disabled: d.flag("disabled"), Dynamic: d.flag("dynamic"),
			RxByte: d.count("rx-byte"), TxByte: d.count("tx-byte"), RxPacket: d.count("rx-packet"), TxPacket: d.count("tx-packet"),
			RxError: d.count("rx-error"), TxError: d.count("tx-error"), RxDrop: d.count("rx-drop"), TxDrop: d.count("tx-drop"), Comment: r["comment"],
		})
		if err := d.done("interface " + r["name"]); err != nil {
			return nil, err
		}
	}
	return all, nil
}
