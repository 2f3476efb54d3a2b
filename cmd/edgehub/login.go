package main

import "github.com/edgehub/edgehub/controlplane"

// passwords says whether people may sign in with one.
func (s *settings) passwords() bool { return s.PasswordLogin == nil || *s.PasswordLogin }

// logins puts the ways to sign in into opts, with the secrets of the hub as a client of its login providers.
func (s *settings) logins(opts *controlplane.Options) error {
	opts.NoPasswords = !s.passwords()
	opts.Logins = s.Login
	for i := range opts.Logins {
		p := &opts.Logins[i]
		if p.ClientSecretFile == "" {
			continue
		}
		secret, err := secretFile(p.ClientSecretFile, "client secret of login provider "+p.Name)
		if err != nil {
			return err
		}
		p.ClientSecret = secret
	}
	return nil
}
