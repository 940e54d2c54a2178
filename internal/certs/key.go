package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
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
// OpenSSL writes: PKCS #8 with PBES2, PBKDF2 and AES or triple DES, and the older one of
// RFC 1421.
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
	if scheme.KDF.Algorithm.String() != "1.2.840.113549.1.5.12" {
		return nil, fmt.Errorf("password function %v is not known; use PBKDF2, openssl's default", scheme.KDF.Algorithm)
	}
	var kdf pbkdf2Params
	if err := unmarshal(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	var iv []byte
	if err := unmarshal(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	b, err := scheme.cipher(kdf, password)
	if err != nil {
		return nil, err
	}
	return decryptCBC(b, iv, k.Data)
}

func unmarshal(der []byte, into any) error {
	if _, err := asn1.Unmarshal(der, into); err != nil {
		return fmt.Errorf("encrypted key is damaged: %w", err)
	}
	return nil
}

// A blockCipher is a cipher that a key may be encrypted with.
type blockCipher struct {
	keySize int
	make    func(key []byte) (cipher.Block, error)
}

// ciphers are those that OpenSSL has had as its default, by object identifier.
func ciphers() map[string]blockCipher {
	return map[string]blockCipher{
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	}
}

// hashes are the functions of PBKDF2, by object identifier; none means SHA-1.
func hashes() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{
		"":                    sha1.New,
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.11": sha512.New,
	}
}

// cipher makes the cipher from the password.
func (s pbes2) cipher(kdf pbkdf2Params, password string) (cipher.Block, error) {
	c, ok := ciphers()[s.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("cipher %v is not known; use AES-CBC, openssl's default", s.Cipher.Algorithm)
	}
	h, ok := hashes()[kdf.PRF.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("password function %v is not known; use HMAC with SHA-256, openssl's default", kdf.PRF.Algorithm)
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxIterations {
		return nil, fmt.Errorf("password function with %d rounds is not supported; openssl's default is 2048", kdf.Iterations)
	}
	key, err := pbkdf2.Key(h, password, kdf.Salt, kdf.Iterations, c.keySize)
	if err != nil {
		return nil, err
	}
	return c.make(key)
}

func decryptCBC(b cipher.Block, iv, data []byte) ([]byte, error) {
	if len(iv) != b.BlockSize() || len(data) == 0 || len(data)%b.BlockSize() != 0 {
		return nil, errors.New("encrypted key is damaged: it has no whole number of blocks")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > b.BlockSize() {
		return nil, errPassword
	}
	for _, p := range plain[len(plain)-pad:] {
		if int(p) != pad {
			return nil, errPassword
		}
	}
	return plain[:len(plain)-pad], nil
}
