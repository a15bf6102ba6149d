package aaa

import (
	"encoding/hex"

	"radial/dictionaries"
)

// logPostAuth hands the outcome to the post-auth log, by the setting.
func (e *Engine) logPostAuth(l *authorization, d *Decision) {
	if e.postAuth == nil || e.opts.PostAuth.Log == PostAuthNone || e.opts.PostAuth.Log == PostAuthRejects && d.Verdict == Accept {
		return
	}
	w := e.words
	row := PostAuth{
		User: l.text(w.userName), Reply: "Access-Reject", CalledStation: l.text(w.calledStation), CallingStation: l.text(w.callingStation),
		At: l.in.now, Reason: d.Reason, Detail: d.Detail, NAS: l.nasAddress().String(), NASPortID: l.port(),
	}
	if d.Verdict == Accept {
		row.Reply = "Access-Accept"
		if class, ok := d.Reply.Value(w.class); ok && !isClassMark(class) {
			row.Class = w.class.Text(class)
		}
		if d.Without != "" {
			row.Reason, row.Detail = ReasonPoolFull, d.Without
			if d.Detail != "" {
				row.Detail += "; " + d.Detail
			}
		}
		row.FramedIPAddress = textOf(d.Reply, w.framedIPAddress)
	}
	if e.opts.PostAuth.Passwords {
		row.Pass = l.sentPassword()
	}
	e.postAuth.Log(row)
}

// sentPassword is what FreeRADIUS stores in radpostauth.pass: the clear text of
// PAP, the hex of CHAP, nothing for all else.
func (l *authorization) sentPassword() string {
	if v, ok := l.in.req.Pairs.Value(l.e.words.userPassword); ok {
		return string(v)
	}
	if v, ok := l.in.req.Pairs.Value(l.e.words.chapPassword); ok {
		return "0x" + hex.EncodeToString(v)
	}
	return ""
}

func textOf(ps dictionaries.Pairs, a *dictionaries.Attribute) string {
	if v, ok := ps.Value(a); ok {
		return a.Text(v)
	}
	return ""
}
