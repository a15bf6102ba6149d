package radius

import wire "layeh.com/radius"

// account answers an Accounting-Request once it is stored (RFC 2866 §2: the
// response tells the device that it may forget the record).
func (s *Server) account(x *exchange) {
	if err := s.acct.Account(s.deadlines.context(x.received), &x.request); err != nil {
		s.silence(x, SilentAccount, err)
		return
	}
	const code = wire.CodeAccountingResponse
	if err := s.encode(x, code, nil); err != nil {
		s.silence(x, SilentEncode, err)
		return
	}
	x.due = x.received
	s.packetLine("sending", x, code, nil)
	s.finish(x, code)
}
