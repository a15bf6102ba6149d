package aaa

import (
	"fmt"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// What a login gets whose pool has no free address (Options.PoolFull).
const (
	PoolFullReject  = "reject"
	PoolFullAccept  = "accept"  // accepted without an address, as FreeRADIUS does
	PoolFullSilence = "silence" // no answer, so that the NAS asks another server
)

// Which logins go into radpostauth (PostAuthOptions.Log).
const (
	PostAuthAll     = "all"
	PostAuthRejects = "rejects"
	PostAuthNone    = "none"
)

// Options are the engine's settings.
type Options struct {
	// FilterUsername refuses odd names before any look-up (blanks, several @,
	// "..", a realm without a dot), as FreeRADIUS's stock site does.
	FilterUsername bool
	// StripRealm looks "bob@isp.example" up as "bob", where the realm is one of
	// Realms (any case) or Realms is empty.
	StripRealm bool
	Realms     []string
	// ReadGroups and ReadProfiles are FreeRADIUS's read_groups and
	// read_profiles: groups and the profile also count where no Fall-Through
	// item says so. DefaultUserProfile is its default_user_profile.
	ReadGroups         bool
	ReadProfiles       bool
	DefaultUserProfile string
	// PPPDefaults adds Framed-Protocol = PPP and Framed-Compression =
	// Van-Jacobson-TCP-IP to the reply of a request with Framed-Protocol PPP,
	// as the DEFAULT entry of FreeRADIUS's stock users file does.
	PPPDefaults bool
	PoolFull    string
	// FallbackPools are asked, in order, when none of the pools that a login names
	// has what it wants: those of the kind that is wanted, and that the device's
	// VRF has.
	FallbackPools []string
	// SimultaneousUseMessage is the Reply-Message of a login refused by
	// Simultaneous-Use; for a limit above 1 " (limit)" follows it.
	SimultaneousUseMessage string
	// SimultaneousUseReplace is ReplaceOwn or ReplaceNever.
	SimultaneousUseReplace string
	// StartWithin is how long a login that Simultaneous-Use has let in counts
	// without a Start.
	StartWithin time.Duration
	Counters    CounterOptions
	// QuotaMessage is the Reply-Message of a login whose data quota is used up.
	QuotaMessage string
	// MinimumTimeout refuses logins with less left of their Login-Time.
	MinimumTimeout time.Duration
	// RejectDelay holds rejects back, unless the device has its own setting or
	// is of type mikrotik (whose clients give up early).
	RejectDelay time.Duration
	PostAuth    PostAuthOptions
	// Mark has what a session is granted travel in the Class of its Access-Accept,
	// where the reply has none of its own (LiveSession.Class).
	Mark bool
	// Outage is OutageSilence or OutageCached; OutageMaxAge is how long after the
	// database was last heard of rows from memory are believed.
	Outage       string
	OutageMaxAge time.Duration
	// Shape makes the reply fit a device: the vendor's encoding of what is
	// granted. Nil: nas.ShapeReply.
	Shape func(dev *nas.Device, reply dictionaries.Pairs) dictionaries.Pairs
}

// PostAuthOptions are the settings of the post-auth log.
type PostAuthOptions struct {
	Log string
	// Passwords stores what the user sent, in clear for PAP, as FreeRADIUS does.
	Passwords bool
}

// DefaultOptions are the settings of a server that nobody has configured.
func DefaultOptions() Options {
	return Options{
		ReadGroups:             true,
		ReadProfiles:           true,
		PoolFull:               PoolFullReject,
		SimultaneousUseMessage: "You are already logged in - access denied",
		SimultaneousUseReplace: ReplaceOwn,
		StartWithin:            2 * time.Minute,
		QuotaMessage:           "Your data volume is used up",
		Counters:               CounterOptions{WeekBegins: WeekBeginsSunday, MonthDay: 1},
		MinimumTimeout:         time.Minute,
		RejectDelay:            time.Second,
		Mark:                   true,
		PostAuth:               PostAuthOptions{Log: PostAuthAll},
		Outage:                 OutageSilence,
		OutageMaxAge:           time.Hour,
	}
}

// OutageAge is how old rows from memory may be while the database is away; 0
// where they are not served then (CacheConfig.OutageAge).
func (o *Options) OutageAge() time.Duration {
	if o.Outage != OutageCached {
		return 0
	}
	return o.OutageMaxAge
}

// Validate tells the first setting that cannot be used.
func (o *Options) Validate() error {
	switch o.PoolFull {
	case PoolFullReject, PoolFullAccept, PoolFullSilence:
	default:
		return fmt.Errorf("pool_full is %q: use reject, accept or silence", o.PoolFull)
	}
	switch o.SimultaneousUseReplace {
	case ReplaceOwn, ReplaceNever:
	default:
		return fmt.Errorf("simultaneous_use.replace is %q: use own or never", o.SimultaneousUseReplace)
	}
	if o.StartWithin < time.Second || o.StartWithin > time.Hour {
		return fmt.Errorf("simultaneous_use.start_within is %s: use 1 second to 1 hour", o.StartWithin)
	}
	switch o.Counters.WeekBegins {
	case WeekBeginsSunday, WeekBeginsMonday:
	default:
		return fmt.Errorf("counters.week_begins is %q: use sunday or monday", o.Counters.WeekBegins)
	}
	if o.Counters.MonthDay < 1 || o.Counters.MonthDay > 28 {
		return fmt.Errorf("counters.month_day is %d: use 1 to 28", o.Counters.MonthDay)
	}
	switch o.PostAuth.Log {
	case PostAuthAll, PostAuthRejects, PostAuthNone:
	default:
		return fmt.Errorf("postauth.log is %q: use all, rejects or none", o.PostAuth.Log)
	}
	switch o.Outage {
	case OutageSilence, OutageCached:
	default:
		return fmt.Errorf("policy.outage is %q: use silence or cached", o.Outage)
	}
	if o.OutageMaxAge < time.Second || o.OutageMaxAge > 30*24*time.Hour {
		return fmt.Errorf("policy.outage_max_age is %s: use 1 second to 30 days", o.OutageMaxAge)
	}
	if o.RejectDelay < 0 || o.RejectDelay > 5*time.Second {
		return fmt.Errorf("reject_delay is %s: use 0 to 5 seconds", o.RejectDelay)
	}
	return nil
}
