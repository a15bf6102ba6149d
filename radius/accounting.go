package radius

import wire "layeh.com/radius"

// account answers an Accounting-Request once it is stored (RFC 2866 §2: the
// response tells the device that it may forget the record).
func (s *Server) account(x *exchange) todo {
	if err := s.acct.Account(s.deadlines.context(x.received), &x.request); err != nil {
		return s.silence(x, SilentAccount, err)
	}
	const code = wire.CodeAccountingResponse
	if err := s.encode(x, code, nil); err != nil {
		return s.silence(x, SilentEncode, err)
	}
	x.due = x.received
	s.packetLine("sending", x, code, nil)
	return s.finish(x, code)
}
