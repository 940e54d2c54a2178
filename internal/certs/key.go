package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// errPassword is the likely reason for a key that does not come out.
var errPassword = errors.New("wrong password (CERTIDENT has it)")

// maxIterations bounds the work that a key file can ask for.
const maxIterations = 10_000_000

// decrypt returns a key's PEM block in clear. It knows the two encryptions that
// OpenSSL writes: PKCS #8 with PBES2, PBKDF2 and AES-CBC, and the older one of RFC
// 1421.
func decrypt(block *pem.Block, password string) (*pem.Block, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		der, err := decryptPKCS8(block.Bytes, password)
		if err != nil {
			return nil, err
		}
		return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, nil
	}
	//lint:ignore SA1019 files of this kind exist; the weakness is in the file, not in reading it
	if !x509.IsEncryptedPEMBlock(block) {
		return block, nil
	}
	//lint:ignore SA1019 likewise
	der, err := x509.DecryptPEMBlock(block, []byte(password))
	if err != nil {
		return nil, errPassword
	}
	return &pem.Block{Type: block.Type, Bytes: der}, nil
}

// The shapes of RFC 5958 and RFC 8018.
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct {
		KDF    pkix.AlgorithmIdentifier
		Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var k encryptedKey
	if err := unmarshal(der, &k); err != nil {
		return nil, err
	}
	if k.Algorithm.Algorithm.String() != "1.2.840.113549.1.5.13" {
		return nil, fmt.Errorf("encryption %v is not known; use PBES2, openssl's default", k.Algorithm.Algorithm)
	}
	var scheme pbes2
	if err := unmarshal(k.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	var kdf pbkdf2Params
	if err := unmarshal(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	var iv []byte
	if err := unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	key, err := derive(scheme, kdf, password)
	if err != nil {
		return nil, err
	}
	return decryptCBC(key, iv, k.Data)
}

func unmarshal(der []byte, into any) error {
	if _, err := asn1.Unmarshal(der, into); err != nil {
		return fmt.Errorf("encrypted key is damaged: %w", err)
	}
	return nil
}

// derive makes the key for the cipher from the password.
func derive(scheme pbes2, kdf pbkdf2Params, password string) ([]byte, error) {
	size, ok := map[string]int{
		"2.16.840.1.101.3.4.1.2":  16,
		"2.16.840.1.101.3.4.1.22": 24,
		"2.16.840.1.101.3.4.1.42": 32,
	}[scheme.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("cipher %v is not known; use AES-CBC, openssl's default", scheme.Cipher.Algorithm)
	}
	var h func() hash.Hash
	switch prf := kdf.PRF.Algorithm.String(); prf {
	case "1.2.840.113549.2.9":
		h = sha256.New
	case "", "1.2.840.113549.2.7":
		h = sha1.New
	default:
		return nil, fmt.Errorf("password function %s is not known; use HMAC with SHA-256, openssl's default", prf)
	}
	if scheme.KDF.Algorithm.String() != "1.2.840.113549.1.5.12" || kdf.Iterations < 1 || kdf.Iterations > maxIterations {
		return nil, fmt.Errorf("key derivation %v with %d rounds is not supported; use PBKDF2, openssl's default", scheme.KDF.Algorithm, kdf.Iterations)
	}
	return pbkdf2.Key(h, password, kdf.Salt, kdf.Iterations, size)
}

func decryptCBC(key, iv, data []byte) ([]byte, error) {
	if len(iv) != aes.BlockSize || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, errors.New("encrypted key is damaged: it has no whole number of blocks")
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errPassword
	}
	for _, p := range plain[len(plain)-pad:] {
		if int(p) != pad {
			return nil, errPassword
		}
	}
	return plain[:len(plain)-pad], nil
}
