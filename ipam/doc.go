// Package ipam decides who gets which address. It holds no SQL and no sockets:
// the rows of radial.addresses judge (package store), and what stands here is
// the arithmetic of networks, the rules, and the allocator that proposes.
//
// The Allocator keeps for each pool a small window of addresses that were free
// when it last looked, or that this server has freed since (Allocator.Freed): a
// hint. Before it is used up one login looks for more, and
// the others go on. A login takes a few of them as candidates and asks the rows to
// Claim one; concurrent logins share one transaction there. A
// candidate that was taken meanwhile, by this server or another, costs another
// try, never a double lease. A pool is full when the rows say so.
//
// A login may want several things: an IPv4 address, a prefix for its link, one
// for its own network. It gets all of them in one transaction, or none. For each
// it names pools in order: after one without room come that pool's own fallback
// list and then the next one. A lease that the caller has in any of them is kept.
//
// Pools of IPv6 are sparse: they have rows for what has been leased alone, so
// that a /32 costs nothing. What they may give are the runs of their subnets, and
// a candidate is a number in these. A caller's first candidates are told by a
// hash of it, so that it tends to get the same prefix even when its row has long
// gone; then come free rows and gaps between rows, found by walking them.
//
// # The caller of a lease
//
// A Caller is (username, normalised Calling-Station-Id, NAS, NAS-Port-Id or else
// NAS-Port). Judge is this table, one test a row; "same" means all four:
//
//	row is       caller         session id         verdict
//	-----------  -------------  -----------------  -------------------------------------------
//	offered      same           any                Keep: the same lease, its offer begins anew
//	offered      other          any                Pass
//	offered,     last holder    any                Sticks
//	  run out
//	offered,     other          any                Pass (as a candidate it is free)
//	  run out
//	bound        same           same as the row's  Keep
//	bound        same           absent, here or    Keep
//	                            in the row
//	bound        same, a MAC    another            TakeOver: the caller is back, its old session is dead
//	             or port known
//	bound        same, neither  another            Pass: a new lease
//	             known
//	bound        other          any                Pass
//	free         last holder    any                Sticks: the last address again, at any NAS
//	free         other          any                Pass (as a candidate it is free)
//	cooling      last holder    any                Sticks: at once
//	cooling      other          any                Pass (as a candidate it is free once it has run out)
//	reserved     any            any                Pass
//
// Who the last holder is says the pool's Sticky: the same user name and MAC, the
// same user name, the same MAC, or nobody. The pool's Status comes before the
// table: of a draining pool Keep and TakeOver alone are given, of an inactive
// one, or of an inactive subnet, nothing. Accounting does not ask for either.
//
// Keep goes before TakeOver, TakeOver before Sticks, Sticks before the
// candidates. Stickiness chooses among free rows only.
//
// # The session of a lease
//
// Accounting binds, renews and releases by address. Settle is that table; "ours"
// is said of a row whose holder shares with the event the Acct-Session-Id and
// NAS, the user name (and no other MAC), or the MAC and NAS.
//
//	event    row is                           verdict
//	-------  -------------------------------  ------------------------------------------------
//	Bind     free, cooling, or an offer run   Bind: the session has it, whoever gave it
//	         out
//	Bind     offered, ours                    Bind; the row stays the login's where that stands
//	Bind     offered, not ours                Conflict: not stolen
//	Bind     bound, by this session           Renew
//	Bind     bound, ours, by an older one     Replace: the older session is over; as above
//	Bind     bound, ours, by a newer one      Leave: a late packet
//	Bind     bound, not ours                  Conflict
//	Renew    free, cooling, offered           as Bind: its Start was lost
//	Renew    bound, by this session           Renew
//	Renew    bound, by another, ours          Leave
//	Renew    bound, not ours                  Conflict
//	Release  bound, by this session           Release; back to an offer where a login has it since
//	                                          that did not name this session
//	Release  offered, same session id, ours   Release: its Start was lost
//	Release  anything else                    Leave
//	Release  reserved                         Leave
//	Bind,    reserved for its user or MAC     Leave
//	  Renew
//	Bind,    reserved for another, or for     Conflict; the row stays reserved
//	  Renew  nobody
//
// The invariant behind Replace: sessions of one caller with one address do not
// overlap, so of two the one that began later lives. A row knows a moment at
// which its session was alive, its Start's where that is known (Holding.Since). A
// Start from before that moment is of a session that was over then, however late
// it is told: it waited in the journal, or in the queue of a server that the NAS
// had given up. It replaces nobody, and a newer session is one of a later moment.
// radacctid says who was heard of later, which decides between equal moments alone.
//
//   - The moment is taken by the clocks of the servers, to the microsecond, and
//     no later than the second in which the device says that it happened
//     (Acct-Delay-Time, Event-Timestamp): two sessions may share a second.
//   - A copy of a Start at another server is of the same session, and one row of
//     radacct. A copy that tells another time makes its session no younger: what
//     counts is the start that the row has.
//   - Servers whose clocks differ by more than a caller takes to come back may
//     find the new session to be the older one. A login that names its
//     Acct-Session-Id has then taken the row over, which Settle knows by that id,
//     and the clock is not asked. Else the lease stays with the old session until
//     that has ended, and the next report of the new one binds it: nobody is
//     closed for a clock.
//   - Ids that a device begins anew tell nothing here: the caller must be the
//     same in all four, and of such a one the same id is the same row of radacct.
//
// The invariant behind a login that stands (LoginStands): with what a login has been
// answered is nobody else's until that login's session has ended, or nothing has come of it and the
// offer has run out. A session that was heard of before the answer is not that login's, whatever it is called: it
// waited in the journal of a server, perhaps together with its end, and is told of when the next one comes up. It
// has the row until it ends, and then that is on offer again.
//
//   - What counts is when we heard of it and when we answered, never the event's
//     time: of a device whose clock is behind, every session began before its login.
//   - Only what comes out of a journal was heard of some time ago. Whatever comes
//     from a device has come now, after every answer.
//   - A row knows when a login was last answered with it (Holding.Answered). Clocks of servers
//     and database that differ by more than a caller takes to come back may take one for the other: a session that
//     its login did not name then leaves an offer behind that runs out, or an older one frees the address, as if nothing
//     were known.
//
// A record need not carry all that its session has. A Bind also takes what the
// login was offered (by the same user and MAC at the same NAS, and the same
// Acct-Session-Id; the same port where the login had none) or took over, of each
// kind that the record is silent about; a Renew renews, and a Release releases,
// all rows of the session. A Bind that carries another address of a kind than
// the session has releases that one. What a replaced session had besides, and
// the new one's login did not ask for, is released.
package ipam
