// Package routeros is a router that speaks RouterOS's API as a MikroTik does, for tests and for those who want to try Radial without one.
//
// wire.go has the framing: words, sentences. conn.go is a client's connection: login in both forms, tags, commands that run side by side,
// cancel. menu.go reads menus.txt, the table of every menu that we know: its fields, their kinds, defaults and errors. router.go keeps the
// items, run.go does the verbs, change.go those that change items: add, set, unset, remove and move. kind.go judges and writes values as the
// router does, query.go answers print's questions. fault.go breaks things on purpose.
//
// ppp.go is who dials in by PPPoE, ppp_radius.go what the router says of him to a RADIUS server, ppp_grant.go what a reply or a CoA puts in
// force. packet.go has RADIUS's bytes, exchange.go asks servers, dae.go answers them. play.go sets a router up for a test.
//
// Nothing of Radial is imported here, so that a mistake of ours is not made twice. What is known of RouterOS by its manual, by exports of
// configurations and by other clients is in it; menus.txt marks what nobody of us has seen on a real device.
package routeros
