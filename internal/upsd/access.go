package upsd

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gonut/internal/conf"
	"gonut/internal/hostaccess"
	"gonut/internal/passwd"
)

// accounts are the users of upsd.users. They are replaced as a whole.
type accounts struct {
	byName map[string]*account // those with a password
	byPeer map[string]*account // by account of this host
	decoy  string              // some hash, for names that are unknown
	key    []byte              // for account.proof
	slots  chan struct{}       // who computes hashes just now
}

// An account is what one user may do.
type account struct {
	name     string
	password string // or its hash
	hashed   bool
	proof    atomic.Pointer[[sha256.Size]byte] // of the password that the hash was found to be of
	actions  []string                          // upper case
	all      bool                              // every instant command
	commands []string                          // lower case
}

// newAccounts makes the accounts of users. What old has found out about hashes is
// kept.
func newAccounts(users conf.Users, key []byte, old *accounts) *accounts {
	all := &accounts{
		byName: make(map[string]*account, len(users)),
		byPeer: make(map[string]*account),
		key:    key,
		slots:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	for _, u := range users {
		a := newAccount(u)
		if u.HasPass {
			all.byName[u.Name] = a
		}
		if a.hashed {
			all.decoy = a.password
			if was := old.named(u.Name); was != nil && was.password == a.password {
				a.proof.Store(was.proof.Load())
			}
		}
		for _, p := range u.Peers {
			if all.byPeer[p] == nil {
				all.byPeer[p] = a
			}
		}
	}
	return all
}

func newAccount(u conf.User) *account {
	a := &account{name: u.Name, password: string(u.Password), hashed: passwd.IsHash(string(u.Password))}
	for _, act := range u.Actions {
		a.actions = append(a.actions, strings.ToUpper(act))
	}
	for _, c := range u.Instcmds {
		a.all = a.all || strings.EqualFold(c, "ALL")
		a.commands = append(a.commands, strings.ToLower(c))
	}
	return a
}

func (all *accounts) named(name string) *account {
	if all == nil {
		return nil
	}
	return all.byName[name]
}

// find returns the account that name and password prove, nil if they prove none.
// It may take long if the user's password is stored as a hash, and takes as long
// if there is no such user.
func (all *accounts) find(name, password string) *account {
	a := all.byName[name]
	switch {
	case a == nil:
		if all.decoy != "" {
			all.matches(all.decoy, password)
		}
		return nil
	case !a.hashed:
		if subtle.ConstantTimeCompare([]byte(a.password), []byte(password)) != 1 {
			return nil
		}
		return a
	case all.proved(a, password):
		return a
	case !all.matches(a.password, password):
		return nil
	}
	sum := all.sum(password)
	a.proof.Store(&sum)
	return a
}

// peer returns the account of whom the kernel knows, nil if there is none.
func (all *accounts) peer(p peer) *account {
	if a := all.byPeer[strconv.Itoa(p.uid)]; a != nil {
		return a
	}
	return all.byPeer[p.name()]
}

// quick reports whether find will return at once.
func (all *accounts) quick(name, password string) bool {
	a := all.byName[name]
	if a == nil {
		return all.decoy == ""
	}
	return !a.hashed || all.proved(a, password)
}

// matches computes a hash, when a processor may be spent on it.
func (all *accounts) matches(hash, password string) bool {
	all.slots <- struct{}{}
	defer func() { <-all.slots }()
	return passwd.Matches(hash, password)
}

// proved reports whether the password is the one that the hash was found to be of
// before. That costs next to nothing, so that clients which connect for every
// question need not wait for the hash each time.
func (all *accounts) proved(a *account, password string) bool {
	p := a.proof.Load()
	if p == nil {
		return false
	}
	sum := all.sum(password)
	return subtle.ConstantTimeCompare(p[:], sum[:]) == 1
}

// sum is a digest that is of no use outside of this process.
func (all *accounts) sum(password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, all.key)
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// may reports whether the account has the action, given in upper case.
func (a *account) may(action string) bool { return slices.Contains(a.actions, action) }

// mayCommand reports whether the account may run the instant command.
func (a *account) mayCommand(name string) bool {
	return a.all || slices.Contains(a.commands, strings.ToLower(name))
}

// rulesAge is how old what is known of hosts.allow and hosts.deny may be.
const rulesAge = time.Second

// An accessFile follows hosts.allow and hosts.deny. The zero value lets everybody
// in.
type accessFile struct {
	mu      sync.Mutex
	files   hostaccess.Files
	service string
	rules   *hostaccess.Rules
	looked  time.Time
	failing bool
}

// current returns the rules of now. Files that cannot be read leave those before
// in force; if there were none, everybody is let in, as by tcp-wrappers.
func (f *accessFile) current(log *slog.Logger) *hostaccess.Rules {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.service == "" || time.Since(f.looked) < rulesAge {
		return f.rules
	}
	f.looked = time.Now()
	if !f.rules.Changed(f.files) {
		return f.rules
	}
	rules, problems, err := hostaccess.Load(f.files, f.service)
	if err != nil {
		switch {
		case f.failing:
		case f.rules == nil:
			log.Error("everybody is let in, as if there were no rules", "error", err)
		default:
			log.Error("the rules before stay in force", "error", err)
		}
		f.failing = true
		return f.rules
	}
	f.failing = false
	for _, p := range problems {
		log.Warn(p)
	}
	f.rules = rules
	return rules
}

// FollowAccessFiles makes the server ask the rules for service in f before each
// command that needs a user. Clients on unix sockets are not asked about.
func (s *Server) FollowAccessFiles(f hostaccess.Files, service string) {
	s.access.mu.Lock()
	defer s.access.mu.Unlock()
	s.access.files, s.access.service = f, service
}
